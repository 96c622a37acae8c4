<?php
// Symfony Messenger over AMQP: an application's messages are sent, handled, sent again when their handler fails, sent
// later, and set aside in the end. BROKER says where.
require '/usr/share/php/Symfony/Component/Messenger/Bridge/Amqp/autoload.php';

use Symfony\Component\Messenger\Bridge\Amqp\Transport\AmqpReceivedStamp;
use Symfony\Component\Messenger\Bridge\Amqp\Transport\AmqpStamp;
use Symfony\Component\Messenger\Bridge\Amqp\Transport\AmqpTransportFactory;
use Symfony\Component\Messenger\Envelope;
use Symfony\Component\Messenger\Stamp\DelayStamp;
use Symfony\Component\Messenger\Stamp\RedeliveryStamp;
use Symfony\Component\Messenger\Transport\Serialization\PhpSerializer;

final class Job
{
    public function __construct(public string $name)
    {
    }
}

$options = [
    'exchange' => ['name' => 'symfony', 'type' => 'topic'],
    'queues' => ['symfony.high' => ['binding_keys' => ['high.#'], 'arguments' => ['x-max-priority' => 3]], 'symfony.low' => ['binding_keys' => ['low']]],
    'delay' => ['exchange_name' => 'symfony.delays'],
];
$transport = (new AmqpTransportFactory())->createTransport(getenv('BROKER') . '/%2f', $options, new PhpSerializer());
$transport->setup();

/** The next message of a queue, waited for by asking again, as the workers of Messenger do. */
function receive($transport, string $queue): Envelope
{
    for ($until = microtime(true) + 20; microtime(true) < $until; usleep(5000)) {
        foreach ($transport->getFromQueues([$queue]) as $envelope) {
            return $envelope;
        }
    }
    throw new RuntimeException("nothing comes from $queue");
}

foreach ([['a', 0], ['b', 2]] as [$name, $priority]) {
    $transport->send(new Envelope(new Job($name), [new AmqpStamp('high.job', AMQP_NOPARAM, ['priority' => $priority])]));
}
$result = ['count' => $transport->getMessageCount(), 'handled' => []];
$transport->send(new Envelope(new Job('later'), [new AmqpStamp('low'), new DelayStamp(50)]));

$first = receive($transport, 'symfony.high');
$result['handled'][] = $first->getMessage()->name;
$second = receive($transport, 'symfony.high');
$result['handled'][] = $second->getMessage()->name;
$transport->ack($second);
// The handler of the first fails: Messenger sends it again, with a delay, and only then acknowledges.
$transport->send(new Envelope($first->getMessage(), [new DelayStamp(20), new RedeliveryStamp(1), $first->last(AmqpReceivedStamp::class)]));
$transport->ack($first);
$third = receive($transport, 'symfony.high');
$result['handled'][] = $third->getMessage()->name . ' again, retry ' . $third->last(RedeliveryStamp::class)->getRetryCount();
$transport->reject($third);
$later = receive($transport, 'symfony.low');
$result['handled'][] = $later->getMessage()->name;
$transport->ack($later);
$result['left'] = $transport->getMessageCount();

echo json_encode($result), "\n";
