from __future__ import annotations

from infra.simulator.command import main

if __name__ == "__main__":
    main()
