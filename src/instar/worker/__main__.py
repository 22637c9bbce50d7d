"""Run one task: `python -m instar.worker < task.json`."""

from instar.worker.process import main

if __name__ == "__main__":
    main()
