"""What programs do with aioamqp. BROKER_PORT says where."""

import asyncio
import json
import os

import aioamqp


async def main():
    transport, protocol = await aioamqp.connect('127.0.0.1', int(os.environ['BROKER_PORT']), heartbeat=10)
    channel = await protocol.channel()
    await channel.confirm_select()
    await channel.exchange_declare('aioamqp.topic', 'topic', auto_delete=True)
    queue = (await channel.queue_declare('', exclusive=True))['queue']
    await channel.queue_bind(queue, 'aioamqp.topic', 'a.*')
    headers = {'n': 7, 'text': 'häre', 'yes': True, 'table': {'in': 'deeper'}}
    for body in ('one', 'two', 'x' * 300_000):
        await channel.publish(body, 'aioamqp.topic', 'a.b', properties={'headers': headers, 'delivery_mode': 2})
    await channel.basic_qos(prefetch_count=1)
    got = []
    everything = asyncio.get_running_loop().create_future()

    async def take(channel, body, envelope, properties):
        got.append([len(body) if len(body) > 10 else body.decode(), properties.headers == headers])
        if len(got) == 1:
            await channel.basic_client_nack(envelope.delivery_tag, requeue=True)
        else:
            await channel.basic_client_ack(envelope.delivery_tag)
        if len(got) == 4:
            everything.set_result(None)

    await channel.basic_consume(take, queue_name=queue)
    await everything
    try:
        await (await protocol.channel()).queue_declare('absent', passive=True)
    except aioamqp.exceptions.ChannelClosed as error:
        got.append(f'{error.code} {error.message}')
    await protocol.close()
    transport.close()
    print(json.dumps(got))


asyncio.run(main())
