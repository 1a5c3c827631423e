"""Fast construction of frozen attrs classes.

The frozen `__init__` of attrs costs several times as much as the assignment of the fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import attrs

T = TypeVar("T")


def twin(cls: type[Any]) -> type[Any]:
    """Return a mutable class of the same layout, whose instances can be converted to `cls`."""
    namespace = {
        "__slots__": cls.__dict__["__slots__"],
        "__setattr__": object.__setattr__,
        # without this, each assignment takes the slow path through Python
        "__delattr__": object.__delattr__,
        "__init__": object.__init__,
        "__orig_bases__": cls.__dict__.get("__orig_bases__", cls.__bases__),
    }
    metaclass: Any = type(cls)
    made: type[Any] = metaclass(cls.__name__, cls.__bases__, namespace)
    if hasattr(made, "__abstractmethods__"):
        made.__abstractmethods__ = frozenset()  # the frozen class implements them
    return made


def maker(cls: type[T]) -> Callable[..., T]:
    """Return a function that makes instances of a frozen class from all its fields, unchecked.

    The fields are given in their order. The class must have no slot for weak references, since
    its twin has none.
    """
    fields = [field.name for field in attrs.fields(cast(Any, cls))]
    lines = [
        f"def make({', '.join(fields)}):",
        "    made = Twin()",
        *(f"    made.{field} = {field}" for field in fields),
        "    made.__class__ = cls",
        "    return made",
    ]
    scope: dict[str, Any] = {"Twin": twin(cls), "cls": cls}
    code = compile("\n".join(lines), f"<maker of {cls.__name__}>", "exec")
    exec(code, scope)  # noqa: S102 (the text is made of our own names)  # nosec B102
    return cast("Callable[..., T]", scope["make"])
