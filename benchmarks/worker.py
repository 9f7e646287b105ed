"""The process of a contestant, see `contest.py`.

    python benchmarks/worker.py MODULE JSON

Calls `MODULE.start(**JSON)`, which returns a function that does the work once
and returns a list of floats, by which contestants are compared. Each line on
stdin is a turn, each answer a line of JSON.
"""

import importlib
import json
import sys
import time

import measure


def main():
    module = importlib.import_module(sys.argv[1])
    module.warm_up()
    begin = time.perf_counter()
    run = module.start(**json.loads(sys.argv[2]))
    results = run()
    answer = {
        "first": time.perf_counter() - begin,
        "since_start": measure.process_age(),
    }
    results += run()
    print(json.dumps({**answer, "results": results}), flush=True)
    for _ in sys.stdin:
        begin, begin_cpu = time.perf_counter(), time.process_time()
        run()
        answer = {
            "seconds": time.perf_counter() - begin,
            # Of all threads: other work on the machine disturbs it less.
            "cpu": time.process_time() - begin_cpu,
            "peak": measure.peak_memory(),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
