<?php
// What programs do with the AMQP extension of PHP. The first word says what; BROKER_PORT says where.

function channel(string $password = 'guest'): AMQPChannel
{
    $connection = new AMQPConnection(['host' => '127.0.0.1', 'port' => (int) getenv('BROKER_PORT'), 'login' => 'guest',
        'password' => $password, 'read_timeout' => 20, 'heartbeat' => 20]);
    $connection->connect();
    return new AMQPChannel($connection);
}

function exclusive(AMQPChannel $channel, array $arguments = []): AMQPQueue
{
    $queue = new AMQPQueue($channel);
    $queue->setFlags(AMQP_EXCLUSIVE);
    $queue->setArguments($arguments);
    $queue->declareQueue();
    return $queue;
}

function refusal(callable $attempt): string
{
    try {
        $attempt();
        return 'accepted';
    } catch (AMQPException $error) {
        return $error->getMessage();
    }
}

$scenarios = [
    'confirms' => function () {
        $channel = channel();
        $channel->confirmSelect();
        $said = [];
        $channel->setConfirmCallback(
            function ($tag) use (&$said) { $said[] = "ack $tag"; return false; },
            function ($tag) use (&$said) { $said[] = "nack $tag"; return false; }
        );
        $channel->setReturnCallback(function ($code, $text, $exchange, $key, $properties, $body) use (&$said) {
            $said[] = "$code $text $key $body";
        });
        $exchange = new AMQPExchange($channel);
        $queue = exclusive($channel, ['x-max-length' => 1, 'x-overflow' => 'reject-publish']);
        foreach ([[$queue->getName(), 'kept'], [$queue->getName(), 'refused'], ['nowhere', 'lost']] as [$key, $body]) {
            $exchange->publish($body, $key, AMQP_MANDATORY);
            $channel->waitForConfirm(20);
        }
        return $said;
    },
    'consuming' => function () {
        $channel = channel();
        $channel->setPrefetchCount(2);
        $exchange = new AMQPExchange($channel);
        $exchange->setName('php-amqp.headers');
        $exchange->setType(AMQP_EX_TYPE_HEADERS);
        $exchange->setFlags(AMQP_AUTODELETE);
        $exchange->declareExchange();
        $queue = exclusive($channel);
        $queue->bind('php-amqp.headers', null, ['x-match' => 'all', 'colour' => 'red']);
        foreach (['one' => 'red', 'no' => 'blue', 'two' => 'red', 'three' => 'red'] as $body => $colour) {
            $exchange->publish($body, '', AMQP_NOPARAM, ['headers' => ['colour' => $colour, 'n' => 7, 'deep' => ['list' => ['x', 'y']]]]);
        }
        $got = [];
        $queue->consume(function (AMQPEnvelope $message, AMQPQueue $queue) use (&$got) {
            $got[] = $message->getBody() . ($message->isRedelivery() ? ' again' : '');
            $got[1] = json_encode($message->getHeaders());
            count($got) === 2 ? $queue->nack($message->getDeliveryTag(), AMQP_REQUEUE) : $queue->ack($message->getDeliveryTag());
            return count($got) < 5;
        });
        return $got;
    },
    'refusals' => function () {
        return [
            refusal(function () {
                $queue = new AMQPQueue(channel());
                $queue->setName('not there');
                $queue->setFlags(AMQP_PASSIVE);
                $queue->declareQueue();
            }),
            refusal(function () {
                $exchange = new AMQPExchange(channel());
                $exchange->setName('amq.topic');
                $exchange->setType(AMQP_EX_TYPE_DIRECT);
                $exchange->declareExchange();
            }),
            refusal(fn () => channel('wrong')),
        ];
    },
];

echo json_encode($scenarios[$argv[1]]()), "\n";
