"""`python -m infra.simulator`: see run.py."""

from __future__ import annotations

from infra.simulator.run import main

if __name__ == "__main__":
    main()
