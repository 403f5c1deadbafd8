"""One file per model, on the base class of `base.py`; `registry.py` names them all."""
