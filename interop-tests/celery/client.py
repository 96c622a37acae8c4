# Sends tasks, and prints what came of them as JSON. The first word says what is asked for.
import json
import sys
import time
from datetime import datetime, timedelta, timezone

from celery import chain, chord, group
from tasks import add, app, broken, note, third_time, total

WAIT = 60


def priorities(path):
    # Nobody works yet: the order is that of the queue.
    for word, priority in [('low', 1), ('middle', 5), ('high', 9), ('second low', 1)]:
        note.apply_async((path, word), priority=priority)
    return 'sent'


def tasks(path):
    results = group(add.s(i, i) for i in range(50))().get(timeout=WAIT)
    chained = chain(add.s(1, 2), add.s(3), add.s(4))().get(timeout=WAIT)
    with open(path) as file:
        order = file.read().split('\n')[:-1]
    return {'group': results, 'chain': chained, 'order': order}


def retries(_path):
    try:
        broken.delay().get(timeout=WAIT)
        failure = None
    except ValueError as error:
        failure = str(error)
    return {'retries': third_time.delay().get(timeout=WAIT), 'failure': failure}


def eta(_path):
    started = time.monotonic()
    result = add.apply_async((2, 2), eta=datetime.now(timezone.utc) + timedelta(seconds=2))
    value = result.get(timeout=WAIT)
    late = time.monotonic() - started
    expired = add.apply_async((1, 1), expires=datetime.now(timezone.utc) - timedelta(seconds=1))
    try:
        expired.get(timeout=WAIT)
        outcome = None
    except Exception as error:
        outcome = type(error).__name__
    return {'value': value, 'early': late < 2, 'expired': outcome}


def chords(_path):
    return chord([add.s(i, i) for i in range(10)], total.s())().get(timeout=WAIT)


def control(_path):
    answers = app.control.ping(timeout=5)
    workers = [reply for answer in answers for reply in answer.values()]
    return {'ping': workers, 'queues': [queue['name'] for queue in first(app.control.inspect(timeout=5).active_queues())]}


def first(answers):
    return next(iter((answers or {}).values()), [])


print(json.dumps(globals()[sys.argv[1]](sys.argv[2])))
