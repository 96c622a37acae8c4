# The tasks that the Celery worker of the tests runs.
import os
import time

from celery import Celery
from kombu import Queue

app = Celery('tasks', broker=os.environ['INTEROP_BROKER'], backend=os.environ['INTEROP_RESULTS'])
app.conf.update(
    task_queues=[Queue('celery', max_priority=10, queue_arguments={'x-max-priority': 10})],
    task_acks_late=True,
    worker_prefetch_multiplier=1,
)


@app.task
def add(a, b):
    return a + b


@app.task(bind=True, max_retries=3)
def stubborn(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return self.request.retries


@app.task
def now():
    return time.time()
