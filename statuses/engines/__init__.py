"""Adapters: one per job system, each turns its engine's own signals into status writes."""

from .base import Engine
from .registry import all, get, register

__all__ = ["Engine", "all", "get", "register"]
