"""The one door to every model: priced, budgeted, paced, recorded, replayable."""

from strop.gateway.account import Account, Spending, Tapped, tap
from strop.gateway.budget import Budgets, Node
from strop.gateway.call import Failure, Recorded, Role
from strop.gateway.gateway import Gateway
from strop.gateway.lanes import Lanes, lanes
from strop.gateway.ledger import Ledger, Line
from strop.gateway.money import PICO, pico, show, usd
from strop.gateway.prices import Price, PriceTable, TokenUse
from strop.gateway.provider import Provider
from strop.gateway.providers_local import EmbeddedProvider, FunctionProvider
from strop.gateway.redact import Redactor
from strop.gateway.settings import ModelSettings
from strop.gateway.switch import Switch
from strop.gateway.tokens import estimated_tokens

__all__ = [
    "PICO",
    "Account",
    "Budgets",
    "EmbeddedProvider",
    "Failure",
    "FunctionProvider",
    "Gateway",
    "Lanes",
    "Ledger",
    "Line",
    "ModelSettings",
    "Node",
    "Price",
    "PriceTable",
    "Provider",
    "Recorded",
    "Redactor",
    "Role",
    "Spending",
    "Switch",
    "Tapped",
    "TokenUse",
    "estimated_tokens",
    "lanes",
    "pico",
    "show",
    "tap",
    "usd",
]
