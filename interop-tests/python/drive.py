# Sends tasks, starts a Celery worker for them, and prints as JSON what came of them.
import json
import subprocess
import sys
import time

from celery import group

from tasks import add, now, stubborn

TIMEOUT = 60


def ranked():
    """Sent before there is a worker, the unimportant first."""
    return [(priority, now.apply_async(priority=priority)) for priority in (1, 5, 9)]


def results():
    sent = time.time()
    later = now.apply_async(countdown=1)
    return {
        'sum': add.delay(2, 3).get(timeout=TIMEOUT),
        'retries': stubborn.delay().get(timeout=TIMEOUT),
        'group': group(add.s(i, i) for i in range(5))().get(timeout=TIMEOUT),
        'chain': (add.s(1, 2) | add.s(4))().get(timeout=TIMEOUT),
        'waited': later.get(timeout=TIMEOUT) - sent >= 1,
    }


waiting = ranked()
command = [sys.executable, '-m', 'celery', '-A', 'tasks', 'worker', '--pool=solo', '--loglevel=error']
worker = subprocess.Popen(command, stdout=subprocess.DEVNULL)
try:
    times = {priority: result.get(timeout=TIMEOUT) for priority, result in waiting}
    said = {'order': sorted(times, key=times.get), **results()}
finally:
    worker.terminate()
    worker.wait()
print(json.dumps(said))
