# The tasks of a small Celery application, and how it is configured.
import os

from celery import Celery

app = Celery('tasks', broker=os.environ['BROKER'], backend=os.environ['BACKEND'])
app.conf.update(
    task_queue_max_priority=10,
    task_default_priority=5,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    result_expires=60,
    broker_connection_retry_on_startup=True,
)


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def note(path, word):
    with open(path, 'a') as file:
        file.write(word + '\n')


@app.task(bind=True, max_retries=5)
def third_time(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.2)
    return self.request.retries


@app.task
def broken():
    raise ValueError('this task always fails')
