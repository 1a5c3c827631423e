// Keeps the page up to date: the server renders it, this script replaces the parts that have changed.
"use strict";
document.documentElement.classList.add("js");

const KINDS = ["invoice", "request", "delivery", "webhook", "customer", "api_key", "billing", "control"];
const PAUSE = 250; // milliseconds between two updates
const IDLE = 10000; // invoices expire without an event
let source = null, timer = null, running = false, again = false, ahead = 0;

async function refresh() {
  timer = null;
  if (running) { again = true; return; }
  running = true;
  try {
    const response = await fetch(location.pathname + location.search, { cache: "no-store" });
    if (response.ok) show(new DOMParser().parseFromString(await response.text(), "text/html"));
  } catch (error) { /* the stream reports the lost connection */ }
  running = false;
  if (again) { again = false; schedule(); }
}

function schedule() {
  timer ??= setTimeout(refresh, PAUSE);
}

function show(page) {
  ahead = Number(page.body.dataset.now) - Date.now();
  const focused = mark(document.activeElement);
  for (const part of page.querySelectorAll("[data-part]")) {
    const old = document.querySelector(`[data-part="${part.dataset.part}"]`);
    const rows = old.querySelector("tbody");
    if (rows && part.querySelector("tbody")) showRows(rows, part.querySelector("tbody"));
    else if (source_of(old) !== part.innerHTML) { remember(old, part.innerHTML); old.innerHTML = part.innerHTML; }
  }
  if (focused && document.activeElement === document.body) restore(focused);
  tick();
}

// Rows have fixed places, so that nothing moves. While the pointer or the focus is in a table, its rows keep their
// objects, and only their content changes: nobody presses the button of another invoice.
function showRows(old, next) {
  const rows = [...old.rows], fresh = [...next.rows];
  const held = old.matches(":hover, :focus-within") && rows.some((row) => row.dataset.key);
  const keys = new Set(rows.map((row) => row.dataset.key).filter(Boolean));
  const unseen = fresh.filter((row) => row.dataset.key && !keys.has(row.dataset.key));
  rows.forEach((row, place) => {
    const now = held ? fresh.find((other) => other.dataset.key && other.dataset.key === row.dataset.key) : fresh[place];
    if (now && source_of(row, "outerHTML") !== now.outerHTML) {
      const copy = document.importNode(now, true);
      remember(copy, now.outerHTML);
      row.replaceWith(copy);
    }
  });
  if (!held) {
    fresh.slice(rows.length).forEach((row) => old.append(document.importNode(row, true)));
    rows.slice(fresh.length).forEach((row) => row.remove());
  }
  const note = document.getElementById(`${old.closest("[data-part]").dataset.part}-newer`);
  if (note) note.textContent = held && unseen.length ? `${unseen.length} newer` : "";
}

// Times are rewritten each second, so an element is compared with what the server sent.
const sent = new WeakMap();
const remember = (node, html) => sent.set(node, html);
const source_of = (node, kind = "innerHTML") => sent.get(node) ?? node[kind];

const mark = (node) => node && (node.dataset.do || node.getAttribute("href"));
function restore(value) {
  for (const node of document.querySelectorAll("[data-do], a[href]")) {
    if (mark(node) === value) { node.focus({ preventScroll: true }); return; }
  }
}

// --- times ---

function tick() {
  const now = Date.now() + ahead;
  for (const time of document.querySelectorAll("time")) {
    const { since, until, clock } = time.dataset;
    if (clock !== undefined) time.textContent = new Date(now).toISOString().slice(0, 19).replace("T", " ");
    else if (since) time.textContent = span(now - since);
    else if (until) time.textContent = until > now ? span(until - now) : "over";
  }
}

function span(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  return `${Math.floor(seconds / 86400)} days`;
}

// --- controls ---

async function send(name, body) {
  const response = await fetch(name, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  const result = await response.json();
  if (!response.ok) throw new Error(result.error.message);
  return result.status ? `${name}: ${result.status}` : `${name}: done`;
}

async function run(steps) {
  const message = document.getElementById("message");
  try {
    let text = "";
    for (const [name, body] of steps) text = await send(name, body);
    message.textContent = text;
    message.className = "shown";
  } catch (error) {
    message.textContent = error.message;
    message.className = "shown failed";
  }
  schedule();
}

function fields(form) {
  const body = {};
  for (const field of form.elements) {
    if (field.name && field.value !== "") body[field.name] = field.type === "number" ? Number(field.value) : field.value;
  }
  return body;
}

function go(address) {
  history.pushState(null, "", address);
  refresh().then(() => document.getElementById(location.hash.slice(1))?.scrollIntoView());
}

document.addEventListener("click", (event) => {
  const control = event.target.closest("[data-do]"), view = event.target.closest("a[data-view]");
  const copy = event.target.closest("[data-copy]");
  if (control) run(JSON.parse(control.dataset.do));
  else if (copy) navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent).then(
    () => { copy.textContent = "Copied"; }, () => { copy.textContent = "Select the text to copy it"; });
  else if (view && !event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); go(view.href); }
});
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.control) return;
  event.preventDefault();
  run([[form.dataset.control, fields(form)]]);
});
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-filter]");
  if (form) go(`?status=${encodeURIComponent(event.target.value)}#invoices`);
});
document.addEventListener("pointerout", (event) => { if (event.target.closest("tbody")) schedule(); });
document.addEventListener("focusout", (event) => { if (event.target.closest("tbody")) schedule(); });
addEventListener("popstate", refresh);

// --- live changes ---

function connect() {
  if (source || document.hidden) return;
  source = new EventSource("events");
  source.addEventListener("ready", (event) => {
    if (JSON.parse(event.data).instanceId !== document.body.dataset.instance) location.reload();
    live("live", true);
    schedule();
  });
  source.addEventListener("error", () => live("not live, connecting", false));
  for (const kind of KINDS) source.addEventListener(kind, schedule);
}

function live(text, is) {
  document.getElementById("live").textContent = text;
  document.body.classList.toggle("live", is);
}

// A browser has few connections to one host: a hidden page needs none.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { source?.close(); source = null; live("not live", false); } else connect();
});
document.addEventListener("DOMContentLoaded", () => {
  ahead = Number(document.body.dataset.now) - Date.now();
  tick();
  setInterval(tick, 1000);
  setInterval(() => document.hidden || schedule(), IDLE);
  connect();
});
