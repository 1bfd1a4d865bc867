"""All scripts' runs through one queue, shortest first, going on from call to call.

    python experiments/reproduce.py                                    # every quick protocol
    python experiments/reproduce.py --list --protocol report           # what there is, and how long it takes
    python experiments/reproduce.py --protocol report --time-budget 9m # what fits; the next call goes on
    python experiments/reproduce.py --protocol report --shard 1/2      # one half, here; the other elsewhere
    python experiments/reproduce.py --protocol report --ray            # several at once, on a Ray cluster

Runs are those of the scripts, in the same files: their --report shows the tables. Results of several machines are
merged by copying their files together.
"""

from pathlib import Path

from kmodels.running.reproduction import main

if __name__ == "__main__":
    main(Path(__file__).resolve().parent)
