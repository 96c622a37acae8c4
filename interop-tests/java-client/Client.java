// What programs do with RabbitMQ's client for Java. The first word says what; BROKER and others say where.

import com.rabbitmq.client.*;
import com.rabbitmq.tools.json.JSONWriter;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.*;
import java.util.concurrent.*;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Client {
  interface Scenario {
    Object run() throws Exception;
  }

  interface Attempt {
    void on(Channel channel) throws Exception;
  }

  static final Map<String, Scenario> SCENARIOS = new HashMap<>();

  static {
    SCENARIOS.put("confirms", Client::confirms);
    SCENARIOS.put("consuming", Client::consuming);
    SCENARIOS.put("tables", Client::tables);
    SCENARIOS.put("topology", Client::topology);
    SCENARIOS.put("rpc", Client::rpc);
    SCENARIOS.put("cancelled", Client::cancelled);
    SCENARIOS.put("transactions", Client::transactions);
    SCENARIOS.put("bodies", Client::bodies);
    SCENARIOS.put("deadLetters", Client::deadLetters);
    SCENARIOS.put("refusals", Client::refusals);
    SCENARIOS.put("blocked", Client::blocked);
    SCENARIOS.put("recovery", Client::recovery);
    SCENARIOS.put("secure", Client::secure);
  }

  public static void main(String[] words) throws Exception {
    System.out.println(new JSONWriter().write(SCENARIOS.get(words[0]).run()));
    System.exit(0);
  }

  static ConnectionFactory factory() throws Exception {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(System.getenv("BROKER"));
    return factory;
  }

  static Map<String, Object> object(Object... pairs) {
    Map<String, Object> map = new LinkedHashMap<>();
    for (int i = 0; i < pairs.length; i += 2) map.put((String) pairs[i], pairs[i + 1]);
    return map;
  }

  static String exclusive(Channel channel, Map<String, Object> arguments) throws IOException {
    return channel.queueDeclare("", false, true, true, arguments).getQueue();
  }

  static void publish(Channel channel, String exchange, String key, String body) throws IOException {
    channel.basicPublish(exchange, key, MessageProperties.TEXT_PLAIN, body.getBytes("UTF-8"));
  }

  static BlockingQueue<Delivery> consume(Channel channel, String queue, boolean autoAck) throws IOException {
    BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
    channel.basicConsume(queue, autoAck, (tag, delivery) -> deliveries.add(delivery), tag -> {});
    return deliveries;
  }

  static String text(Delivery delivery) throws Exception {
    return new String(delivery.getBody(), "UTF-8");
  }

  /** Confirms that are waited for, that a listener hears of, and that are refusals; and messages that come back. */
  static Object confirms() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      channel.confirmSelect();
      BlockingQueue<String> returned = new LinkedBlockingQueue<>();
      channel.addReturnListener(
          (code, text, exchange, key, properties, body) -> returned.add(code + " " + text + " " + key + " " + new String(body)));
      String queue = exclusive(channel, object("x-max-length", 1, "x-overflow", "reject-publish"));
      List<Boolean> acked = new ArrayList<>();
      for (String body : Arrays.asList("kept", "refused")) {
        publish(channel, "", queue, body);
        acked.add(channel.waitForConfirms());
      }
      channel.basicPublish("", "nowhere", true, MessageProperties.BASIC, "lost".getBytes());
      acked.add(channel.waitForConfirms());
      Channel many = connection.createChannel();
      many.confirmSelect();
      SortedSet<Long> waiting = Collections.synchronizedSortedSet(new TreeSet<>());
      many.addConfirmListener(
          (tag, multiple) -> {
            if (multiple) waiting.headSet(tag + 1).clear();
            else waiting.remove(tag);
          },
          (tag, multiple) -> {});
      String target = exclusive(many, null);
      for (int i = 0; i < 1000; i++) {
        waiting.add(many.getNextPublishSeqNo());
        many.basicPublish("", target, MessageProperties.PERSISTENT_BASIC, new byte[] {1});
      }
      many.waitForConfirmsOrDie();
      return object("acked", acked, "returned", returned.take(), "waiting", waiting.size(), "stored", many.messageCount(target));
    }
  }

  static Object consuming() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      String queue = exclusive(channel, object("x-max-priority", 5));
      int[] priorities = {0, 0, 5, 0, 3};
      for (int i = 0; i < 5; i++) {
        AMQP.BasicProperties properties = new AMQP.BasicProperties.Builder().priority(priorities[i]).build();
        channel.basicPublish("", queue, properties, ("" + i).getBytes());
      }
      channel.basicQos(2);
      BlockingQueue<Delivery> deliveries = consume(channel, queue, false);
      Delivery first = deliveries.take();
      Delivery second = deliveries.take();
      long waiting = channel.messageCount(queue);
      channel.basicAck(first.getEnvelope().getDeliveryTag(), false);
      channel.basicNack(second.getEnvelope().getDeliveryTag(), false, true);
      String order = text(first) + text(second);
      boolean redelivered = false;
      for (int i = 0; i < 4; i++) {
        Delivery delivery = deliveries.take();
        order += text(delivery);
        redelivered |= delivery.getEnvelope().isRedeliver();
        channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
      }
      return object("waiting", waiting, "order", order, "redelivered", redelivered, "heartbeat", connection.getHeartbeat());
    }
  }

  /** A header of every type that the client can send. */
  static Object tables() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      Map<String, Object> sent =
          object(
              "boolean", true, "byte", (byte) -8, "short", (short) -1600, "int", -320000, "long", Long.MIN_VALUE, "float", 1.5f,
              "double", Math.PI, "decimal", new BigDecimal("3.14"), "string", "häre", "bytes", new byte[] {0, -1},
              "date", new Date(1700000000000L), "null", null, "map", object("in", object("deeper", 1)),
              "list", Arrays.asList(1, "two", object("three", false), null));
      String queue = exclusive(channel, null);
      AMQP.BasicProperties properties =
          new AMQP.BasicProperties("a", "b", sent, 2, 9, "c", "d", "60000", "e", new Date(1600000000000L), "f", "guest", "g", "h");
      channel.basicPublish("", queue, properties, new byte[0]);
      AMQP.BasicProperties back = channel.basicGet(queue, true).getProps();
      List<String> different = new ArrayList<>();
      for (String name : sent.keySet()) {
        String before = plain(sent.get(name));
        String after = plain(back.getHeaders().get(name));
        if (!before.equals(after)) different.add(name + ": " + after);
      }
      StringBuilder before = new StringBuilder();
      StringBuilder after = new StringBuilder();
      properties.builder().headers(null).build().appendPropertyDebugStringTo(before);
      back.builder().headers(null).build().appendPropertyDebugStringTo(after);
      boolean same = before.toString().equals(after.toString());
      return object("different", different, "count", back.getHeaders().size(), "properties", same);
    }
  }

  static String plain(Object value) {
    if (value instanceof byte[]) return Arrays.toString((byte[]) value);
    if (value instanceof Map) {
      Map<String, String> map = new TreeMap<>();
      ((Map<?, ?>) value).forEach((key, each) -> map.put(key.toString(), plain(each)));
      return map.toString();
    }
    if (value instanceof List) {
      List<String> list = new ArrayList<>();
      for (Object each : (List<?>) value) list.add(plain(each));
      return list.toString();
    }
    return value + (value == null || value instanceof LongString ? "" : value instanceof String ? "" : value.getClass().getName());
  }

  static Object topology() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      Map<String, Object> reached = new LinkedHashMap<>();
      for (BuiltinExchangeType type : BuiltinExchangeType.values()) {
        String exchange = "java." + type.getType();
        channel.exchangeDeclare(exchange, type, true, true, null);
        String queue = exclusive(channel, null);
        String key = type == BuiltinExchangeType.DIRECT ? "a.b" : type == BuiltinExchangeType.TOPIC ? "a.*" : "";
        channel.queueBind(queue, exchange, key, object("x-match", "any", "number", 7, "word", "yes"));
        for (String each : Arrays.asList("a.b", "a.c", "b.a")) {
          Map<String, Object> headers = object("number", each.equals("b.a") ? 8 : 7);
          channel.basicPublish(exchange, each, new AMQP.BasicProperties.Builder().headers(headers).build(), each.getBytes());
        }
        List<String> got = new ArrayList<>();
        for (GetResponse one = channel.basicGet(queue, true); one != null; one = channel.basicGet(queue, true)) {
          got.add(new String(one.getBody()));
        }
        reached.put(type.getType(), got);
        channel.queueDelete(queue);
        reached.put(type.getType() + " gone", refusal(connection, other -> other.exchangeDeclarePassive(exchange)));
      }
      channel.exchangeDeclare("java.source", "fanout", false, true, true, null);
      channel.exchangeDeclare("java.hub", "fanout", false, true, object("alternate-exchange", "amq.fanout"));
      channel.exchangeBind("java.source", "java.hub", "");
      String queue = exclusive(channel, null);
      channel.queueBind(queue, "java.source", "");
      publish(channel, "java.hub", "", "through both");
      reached.put("bound exchanges", new String(channel.basicGet(queue, true).getBody()));
      reached.put("internal", refusal(connection, other -> {
        publish(other, "java.source", "", "from outside");
        other.queueDeclare();
      }));
      return reached;
    }
  }

  /** The client's own request and reply classes, over direct reply-to. */
  static Object rpc() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel serving = connection.createChannel();
      String requests = exclusive(serving, null);
      RpcServer server =
          new StringRpcServer(serving, requests) {
            @Override
            public String handleStringCall(String request, AMQP.BasicProperties reply) {
              return request + "!";
            }
          };
      Thread loop = new Thread(() -> {
        try {
          server.mainloop();
        } catch (IOException error) {
          throw new IllegalStateException(error);
        }
      });
      loop.setDaemon(true);
      loop.start();
      RpcClient client = new RpcClient(connection.createChannel(), "", requests);
      List<String> answers = Arrays.asList(client.stringCall("one"), client.stringCall("two"));
      client.close();
      return answers;
    }
  }

  static Object cancelled() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      channel.queueDeclare("java.cancelled", false, false, false, null);
      BlockingQueue<String> cancellations = new LinkedBlockingQueue<>();
      channel.basicConsume("java.cancelled", true, "the consumer", (tag, delivery) -> {}, cancellations::add);
      connection.createChannel().queueDelete("java.cancelled");
      return cancellations.take();
    }
  }

  static Object transactions() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      String queue = exclusive(channel, null);
      channel.txSelect();
      publish(channel, "", queue, "taken back");
      channel.txRollback();
      publish(channel, "", queue, "committed");
      long before = channel.messageCount(queue);
      channel.txCommit();
      GetResponse message = channel.basicGet(queue, false);
      channel.basicAck(message.getEnvelope().getDeliveryTag(), false);
      channel.txRollback();
      channel.basicRecover();
      GetResponse again = channel.basicGet(queue, true);
      return object("before", before, "body", new String(message.getBody()), "redelivered", again.getEnvelope().isRedeliver());
    }
  }

  static Object bodies() throws Exception {
    ConnectionFactory factory = factory();
    factory.setRequestedFrameMax(4096);
    factory.useNio();
    try (Connection connection = factory.newConnection()) {
      Channel channel = connection.createChannel();
      String queue = exclusive(channel, null);
      List<Boolean> whole = new ArrayList<>();
      for (int size : new int[] {0, 1, 4088, 4089, 1 << 20, 8 << 20}) {
        byte[] body = new byte[size];
        new Random(size).nextBytes(body);
        channel.basicPublish("", queue, null, body);
        whole.add(Arrays.equals(body, channel.basicGet(queue, true).getBody()));
      }
      return object("whole", whole, "frame", connection.getFrameMax());
    }
  }

  static Object deadLetters() throws Exception {
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      String dead = exclusive(channel, null);
      String queue =
          exclusive(
              channel, object("x-dead-letter-exchange", "", "x-dead-letter-routing-key", dead, "x-max-length", 2, "x-message-ttl", 60000L));
      BlockingQueue<Delivery> deliveries = consume(channel, dead, true);
      channel.basicPublish("", queue, new AMQP.BasicProperties.Builder().expiration("1").build(), "old".getBytes());
      List<Object> letters = new ArrayList<>();
      letters.add(note(deliveries.take()));
      for (String body : Arrays.asList("oldest", "rejected", "stays")) publish(channel, "", queue, body);
      letters.add(note(deliveries.take()));
      channel.basicReject(channel.basicGet(queue, false).getEnvelope().getDeliveryTag(), false);
      letters.add(note(deliveries.take()));
      return letters;
    }
  }

  static String note(Delivery letter) throws Exception {
    Map<?, ?> death = (Map<?, ?>) ((List<?>) letter.getProperties().getHeaders().get("x-death")).get(0);
    return text(letter) + ": " + death.get("reason") + " " + death.get("count") + " " + (death.get("time") instanceof Date);
  }

  static Object refusals() throws Exception {
    List<Object> said = new ArrayList<>();
    try (Connection connection = factory().newConnection()) {
      Channel channel = connection.createChannel();
      channel.queueDeclare("java.durable", true, false, false, null);
      said.add(refusal(connection, other -> other.queueDeclarePassive("not there")));
      said.add(refusal(connection, other -> other.queueDeclare("java.durable", false, false, false, null)));
      said.add(refusal(connection, other -> other.queueDeclare("java.durable", true, false, false, object("x-expires", 1000))));
      said.add(refusal(connection, other -> other.exchangeDeclare("java.wrong", "no-such-type")));
      said.add(refusal(connection, other -> other.queueUnbind("java.durable", "amq.direct", "never bound")));
      said.add(refusal(connection, other -> {
        publish(other, "not there", "", "lost");
        other.queueDeclarePassive("java.durable");
      }));
      said.add(refusal(connection, other -> {
        other.basicAck(42, false);
        other.queueDeclarePassive("java.durable");
      }));
      try (Connection stranger = factory().newConnection()) {
        String queue = exclusive(channel, null);
        said.add(refusal(stranger, other -> other.queueDeclarePassive(queue)).toString().replace(queue, "Q"));
      }
      channel.queueDelete("java.durable");
    }
    ConnectionFactory wrong = factory();
    wrong.setPassword("wrong");
    try {
      wrong.newConnection();
    } catch (AuthenticationFailureException error) {
      said.add(error.getMessage());
    }
    ConnectionFactory elsewhere = factory();
    elsewhere.setVirtualHost("nowhere");
    try {
      elsewhere.newConnection();
    } catch (IOException error) {
      said.add(reason((ShutdownSignalException) error.getCause()));
    }
    return said;
  }

  static Object refusal(Connection connection, Attempt attempt) throws Exception {
    try {
      attempt.on(connection.createChannel());
      return "accepted";
    } catch (IOException error) {
      return reason((ShutdownSignalException) error.getCause());
    } catch (AlreadyClosedException error) {
      return reason(error);
    }
  }

  static String reason(ShutdownSignalException signal) {
    Object reason = signal.getReason();
    if (reason instanceof AMQP.Channel.Close) {
      AMQP.Channel.Close close = (AMQP.Channel.Close) reason;
      return close.getReplyCode() + " " + close.getReplyText() + " " + close.getClassId() + "." + close.getMethodId();
    }
    AMQP.Connection.Close close = (AMQP.Connection.Close) reason;
    return close.getReplyCode() + " " + close.getReplyText();
  }

  /** The broker runs short of memory. */
  static Object blocked() throws Exception {
    try (Connection connection = factory().newConnection()) {
      BlockingQueue<String> notices = new LinkedBlockingQueue<>();
      connection.addBlockedListener(notices::add, () -> notices.add("unblocked"));
      Channel channel = connection.createChannel();
      channel.confirmSelect();
      String queue = exclusive(channel, null);
      System.out.println("connected");
      publish(channel, "", queue, "waits");
      String reason = notices.take();
      System.out.println("blocked");
      return object("reason", reason, "after", notices.take(), "acked", channel.waitForConfirms());
    }
  }

  /** The connection is closed by an operator, and the broker restarted: the client makes everything anew. */
  static Object recovery() throws Exception {
    ConnectionFactory factory = factory();
    factory.setNetworkRecoveryInterval(100);
    Connection connection = factory.newConnection("to be recovered");
    BlockingQueue<String> recoveries = new LinkedBlockingQueue<>();
    BlockingQueue<Integer> losses = new LinkedBlockingQueue<>();
    connection.addShutdownListener(signal -> losses.add(((AMQP.Connection.Close) signal.getReason()).getReplyCode()));
    ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
      @Override
      public void handleRecovery(Recoverable recoverable) {
        recoveries.add("recovered");
      }

      @Override
      public void handleRecoveryStarted(Recoverable recoverable) {}
    });
    Channel channel = connection.createChannel();
    channel.exchangeDeclare("java.recovered", "topic", false, false, null);
    String queue = channel.queueDeclare().getQueue();
    channel.queueBind(queue, "java.recovered", "#");
    BlockingQueue<Delivery> deliveries = consume(channel, queue, true);
    channel.queueDeclare("java.kept", true, false, false, null);
    channel.basicPublish("", "java.kept", MessageProperties.PERSISTENT_BASIC, "kept".getBytes());
    channel.confirmSelect();
    publish(channel, "java.recovered", "a", "before");
    channel.waitForConfirms();
    List<Object> got = new ArrayList<>(Collections.singletonList(text(deliveries.take())));
    System.out.println("connected");
    for (int i = 0; i < 2; i++) {
      String recovered = recoveries.take();
      publish(channel, "java.recovered", "a", "after " + losses.take());
      got.add(text(deliveries.take()));
      System.out.println(recovered);
    }
    got.add(new String(channel.basicGet("java.kept", true).getBody()));
    channel.queueDelete("java.kept");
    channel.exchangeDelete("java.recovered");
    connection.close();
    return got;
  }

  /** TLS, with a broker that is known by its authority and by its name. */
  static Object secure() throws Exception {
    KeyStore known = KeyStore.getInstance(KeyStore.getDefaultType());
    known.load(null, null);
    CertificateFactory certificates = CertificateFactory.getInstance("X.509");
    known.setCertificateEntry("authority", certificates.generateCertificate(Files.newInputStream(Paths.get(System.getenv("AUTHORITY")))));
    TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    trust.init(known);
    SSLContext context = SSLContext.getInstance("TLSv1.2");
    context.init(null, trust.getTrustManagers(), null);
    List<String> bodies = new ArrayList<>();
    for (boolean nio : new boolean[] {false, true}) {
      ConnectionFactory factory = factory();
      factory.useSslProtocol(context);
      if (nio) factory.useNio();
      try (Connection connection = factory.newConnection()) {
        Channel channel = connection.createChannel();
        String queue = exclusive(channel, null);
        publish(channel, "", queue, nio ? "safe by NIO" : "safe");
        bodies.add(new String(channel.basicGet(queue, true).getBody()));
      }
    }
    return bodies;
  }
}
