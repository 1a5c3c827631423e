"""Charges of PayChainHQ: plans, the subscription, billing invoices."""

from __future__ import annotations

from decimal import Decimal

from paychainhq.emulator.catalog import ANNUAL_FEES, PLANS
from paychainhq.emulator.errors import RefusedError, not_found, refuse_field
from paychainhq.emulator.handlers.call import DEFAULT_PAGE, LARGEST_PAGE, Call, new_id
from paychainhq.emulator.seed import DAY
from paychainhq.emulator.state import Row, iso

_CYCLE = 30 * DAY
_MODES = ("prepaid_monthly", "prepaid_annual")


def profile(call: Call) -> object:
    business = call.state.get("SELECT * FROM business")
    code, mode = business["plan_code"], business["billing_mode"]
    plan = PLANS[code]
    cycle_end = iso(business["cycle_start"] + _CYCLE)
    return {
        "business": {
            "id": business["id"],
            "activePlanCode": code,
            "billingStatus": "active",
            "billingAlias": business["billing_alias"],
        },
        "policy": {
            "planCode": code,
            "billingMode": mode,
            "monthlyFeeUsd": plan["monthlyBaseFeeUsd"],
            "annualEligible": code in ANNUAL_FEES,
            "annualBaseFeeUsd": ANNUAL_FEES.get(code),
            "annualDiscountPercent": 10 if code in ANNUAL_FEES else None,
            "invoiceFeeRate": plan["invoiceFeeRate"],
            "linkedPayoutFreeQuota": plan["payoutApiWithdrawalQuota"],
            "introActive": False,
        },
        "subscription": {
            "id": "sub_123",
            "planCode": code,
            "billingMode": mode,
            "status": "active",
            "currentCycleStart": iso(business["cycle_start"]),
            "currentCycleEnd": cycle_end,
            "nextBillingAt": cycle_end,
        },
    }


def plans(call: Call) -> object:
    return {"plans": list(PLANS.values())}


def change_subscription(call: Call) -> object:
    """Request another plan.

    Assumption: no page shows the response to a downgrade. Here it has no invoice and stays
    scheduled.
    """
    business = call.state.get("SELECT * FROM business")
    code, mode = call.body["planCode"], call.body.get("billingMode", "prepaid_monthly")
    if code not in PLANS:
        refuse_field("planCode", f"planCode must be one of {', '.join(PLANS)}")
    if mode not in _MODES:
        refuse_field("billingMode", f"billingMode must be one of {', '.join(_MODES)}")
    if mode == "prepaid_annual" and code not in ANNUAL_FEES:
        refuse_field("billingMode", "annual billing is supported only for GROWTH")
    change = {"fromPlanCode": business["plan_code"], "toPlanCode": code, "billingMode": mode}
    fee = _fee(code, mode)
    if fee < _fee(business["plan_code"], business["billing_mode"]):
        return {
            "state": "scheduled",
            **change,
            "effectiveAt": iso(business["cycle_start"] + _CYCLE),
        }
    invoice_id, network_id = new_id("bill_inv"), call.body.get("networkId", "base-mainnet")
    call.state.insert(
        "billing_invoices",
        id=invoice_id,
        status="pending",
        amount_usd=f"{fee:.2f}",
        due_at=call.state.now() + 7 * DAY,
        plan_code=code,
        billing_mode=mode,
    )
    rail = {"networkId": network_id, "token": "USDC"}
    return {
        "state": "payment_required",
        **change,
        "invoice": {"id": invoice_id, "status": "pending", "amountUsd": f"{fee:.12f}", **rail},
        "paymentInstructions": {**rail, "expectedAmountRaw": str(int(fee * 10**6))},
    }


def invoices(call: Call) -> object:
    limit = min(call.query.get("limit", DEFAULT_PAGE), LARGEST_PAGE)
    rows = call.state.all(
        "SELECT * FROM billing_invoices WHERE status = coalesce(?, status) ORDER BY seq DESC LIMIT "
        "? OFFSET ?",
        call.query.get("status"),
        limit,
        call.query.get("offset", 0),
    )
    return {
        "data": [
            {
                "id": row["id"],
                "status": row["status"],
                "amountUSD": row["amount_usd"],
                "dueAt": iso(row["due_at"]),
            }
            for row in rows
        ]
    }


def usage(call: Call) -> object:
    start = call.state.get("SELECT cycle_start FROM business")["cycle_start"]
    return {
        "cycle": {"start": iso(start), "end": iso(start + _CYCLE)},
        "linkedPayoutUsage": {"count": 19, "quota": 100},
    }


def pay_invoice(call: Call) -> object:
    """Attach a transaction.

    Assumption: any transaction suffices, so BILLING_UNDERPAYMENT never occurs.
    """
    body, state = call.body, call.state
    invoice = _find(call)
    transaction = (body["chain"], body["networkId"], body["txHash"])
    payment = state.find(
        "SELECT invoice_id FROM billing_payments WHERE chain = ? AND network_id = ? AND tx_hash = "
        "?",
        *transaction,
    )
    if payment is not None and payment["invoice_id"] != invoice["id"]:
        raise RefusedError(
            409,
            "BILLING_PAYMENT_REPLAY_CONFLICT",
            "this transaction belongs to another billing invoice's payment",
        )
    if payment is None:
        if invoice["status"] == "paid":
            raise RefusedError(409, "CONFLICT", "this billing invoice is paid already")
        state.insert(
            "billing_payments",
            chain=transaction[0],
            network_id=transaction[1],
            tx_hash=transaction[2],
            invoice_id=invoice["id"],
        )
        state.run("UPDATE billing_invoices SET status = 'paid' WHERE id = ?", invoice["id"])
        if invoice["plan_code"] is not None:
            state.run(
                "UPDATE business SET plan_code = ?, billing_mode = ?",
                invoice["plan_code"],
                invoice["billing_mode"],
            )
    return {"ok": True, "status": "paid", "replayed": payment is not None}


def _fee(code: str, mode: str) -> Decimal:
    return Decimal(
        ANNUAL_FEES[code] if mode == "prepaid_annual" else str(PLANS[code]["monthlyBaseFeeUsd"])
    )


def _find(call: Call) -> Row:
    row = call.state.find(
        "SELECT * FROM billing_invoices WHERE ? IN (id, alias)", call.path["invoice_id"]
    )
    if row is None:
        raise not_found("billing invoice")
    return row
