// Follows the order: the server renders it, and this script replaces it when its state has changed.
"use strict";
const path = location.pathname;
const announced = new Set();

async function poll() {
  try {
    const state = await (await fetch(`${path}/state`)).json();
    if (state.version !== document.body.dataset.version) await update();
    if (state.final) return;
  } catch (error) { /* the next poll may succeed */ }
  setTimeout(poll, 500);
}

async function update() {
  const page = new DOMParser().parseFromString(await (await fetch(path)).text(), "text/html");
  const order = document.getElementById("order"), focused = order.contains(document.activeElement);
  document.title = page.title;
  document.body.dataset.version = page.body.dataset.version;
  order.replaceChildren(...document.importNode(page.getElementById("order"), true).childNodes);
  document.getElementById("status").textContent = page.getElementById("status").textContent;
  if (focused) (order.querySelector("a, button:not([hidden])") ?? order).focus();
  prepare();
}

function prepare() {
  for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = false;
  countdown();
}

function countdown() {
  const left = document.getElementById("left");
  if (!left) return;
  const seconds = Math.max(0, Math.round((new Date(left.dateTime) - Date.now()) / 1000));
  left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  for (const minutes of [5, 1]) {
    if (seconds <= minutes * 60 && seconds > minutes * 60 - 5 && !announced.has(minutes)) {
      announced.add(minutes);
      document.getElementById("notice").textContent = `Time left: ${minutes} min`;
    }
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy).textContent, notice = document.getElementById("notice");
  navigator.clipboard.writeText(text).then(
    () => { notice.textContent = `Copied: ${text}`; }, () => { notice.textContent = "Select the text to copy it."; });
});

if (document.getElementById("order")) {
  prepare();
  setInterval(countdown, 1000);
  poll();
}
