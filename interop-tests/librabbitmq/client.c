/* What programs do with librabbitmq, the client for C. The first word says what, the second names the port. */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static amqp_connection_state_t connection;

static void must(int holds, const char *what) {
  if (holds) return;
  amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
  fprintf(stderr, "%s: %d %s\n", what, reply.reply_type, amqp_error_string2(reply.library_error));
  exit(1);
}

static void answered(const char *what) {
  must(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, what);
}

static amqp_rpc_reply_t login(int port, int frame_max, const char *password) {
  connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  must(socket != NULL && amqp_socket_open(socket, "127.0.0.1", port) == AMQP_STATUS_OK, "connect");
  return amqp_login(connection, "/", 0, frame_max, 30, AMQP_SASL_METHOD_PLAIN, "guest", password);
}

static amqp_bytes_t declare(amqp_table_t arguments) {
  amqp_queue_declare_ok_t *queue = amqp_queue_declare(connection, 1, amqp_empty_bytes, 0, 0, 1, 1, arguments);
  answered("queue.declare");
  return amqp_bytes_malloc_dup(queue->queue);
}

static void publish(amqp_bytes_t key, amqp_bytes_t body, amqp_boolean_t mandatory, amqp_basic_properties_t *properties) {
  must(amqp_basic_publish(connection, 1, amqp_empty_bytes, key, mandatory, 0, properties, body) == AMQP_STATUS_OK, "publish");
}

static amqp_envelope_t next(void) {
  amqp_envelope_t envelope;
  amqp_maybe_release_buffers(connection);
  amqp_rpc_reply_t reply = amqp_consume_message(connection, &envelope, NULL, 0);
  must(reply.reply_type == AMQP_RESPONSE_NORMAL, "consume");
  return envelope;
}

/* Bodies of many frames there and back, each compared, with confirms. */
static void bodies(int port) {
  must(login(port, 4096, "guest").reply_type == AMQP_RESPONSE_NORMAL, "login");
  amqp_channel_open(connection, 1);
  answered("channel.open");
  amqp_confirm_select(connection, 1);
  answered("confirm.select");
  amqp_bytes_t queue = declare(amqp_empty_table);
  size_t sizes[] = {0, 1, 4088, 4089, 3 << 20};
  int whole = 0, confirmed = 0;
  for (int i = 0; i < 5; i++) {
    amqp_bytes_t body = amqp_bytes_malloc(sizes[i]);
    for (size_t j = 0; j < sizes[i]; j++) ((char *)body.bytes)[j] = (char)(j * 7);
    publish(queue, body, 0, NULL);
    amqp_frame_t frame;
    must(amqp_simple_wait_frame(connection, &frame) == AMQP_STATUS_OK, "confirm");
    if (frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD) confirmed++;
    amqp_rpc_reply_t got = amqp_basic_get(connection, 1, queue, 1);
    must(got.reply_type == AMQP_RESPONSE_NORMAL && got.reply.id == AMQP_BASIC_GET_OK_METHOD, "get");
    amqp_message_t message;
    must(amqp_read_message(connection, 1, &message, 0).reply_type == AMQP_RESPONSE_NORMAL, "read");
    if (message.body.len == sizes[i] && memcmp(message.body.bytes, body.bytes, sizes[i]) == 0) whole++;
    amqp_destroy_message(&message);
    amqp_bytes_free(body);
  }
  printf("{\"whole\": %d, \"confirmed\": %d, \"frame\": %d, \"heartbeat\": %d}\n", whole, confirmed,
         amqp_get_frame_max(connection), amqp_get_heartbeat(connection));
}

/* A consumer with a prefetch, which acknowledges, and requeues. */
static void consuming(int port) {
  must(login(port, 131072, "guest").reply_type == AMQP_RESPONSE_NORMAL, "login");
  amqp_channel_open(connection, 1);
  answered("channel.open");
  amqp_bytes_t queue = declare(amqp_empty_table);
  const char *words[] = {"one", "two", "three"};
  for (int i = 0; i < 3; i++) publish(queue, amqp_cstring_bytes(words[i]), 0, NULL);
  amqp_basic_qos(connection, 1, 0, 1, 0);
  answered("basic.qos");
  amqp_basic_consume(connection, 1, queue, amqp_cstring_bytes("the consumer"), 0, 0, 0, amqp_empty_table);
  answered("basic.consume");
  printf("[");
  for (int i = 0; i < 4; i++) {
    amqp_envelope_t envelope = next();
    printf("%s\"%.*s%s\"", i == 0 ? "" : ", ", (int)envelope.message.body.len, (char *)envelope.message.body.bytes,
           envelope.redelivered ? " again" : "");
    if (i == 0) amqp_basic_nack(connection, 1, envelope.delivery_tag, 0, 1);
    else amqp_basic_ack(connection, 1, envelope.delivery_tag, 0);
    amqp_destroy_envelope(&envelope);
  }
  printf("]\n");
}

/* A header of each type that the library has, compared as it comes back. */
static void tables(int port) {
  must(login(port, 131072, "guest").reply_type == AMQP_RESPONSE_NORMAL, "login");
  amqp_channel_open(connection, 1);
  answered("channel.open");
  amqp_bytes_t queue = declare(amqp_empty_table);
  const char kinds[] = {'t', 'b', 'B', 's', 'u', 'I', 'i', 'l', 'f', 'd', 'D', 'S', 'T', 'V', 'x', 'A', 'F'};
  const int count = sizeof kinds;
  static char names[sizeof kinds][2];
  amqp_table_entry_t entries[sizeof kinds], inner = {amqp_cstring_bytes("in"), {'I', {.i32 = -5}}};
  amqp_field_value_t listed[] = {{'I', {.i32 = 1}}, {'S', {.bytes = amqp_cstring_bytes("two")}}};
  for (int i = 0; i < count; i++) {
    names[i][0] = kinds[i];
    entries[i].key = amqp_cstring_bytes(names[i]);
    entries[i].value.kind = (uint8_t)kinds[i];
    memset(&entries[i].value.value, 0, sizeof entries[i].value.value);
    switch (kinds[i]) {
      case 't': entries[i].value.value.boolean = 1; break;
      case 'b': entries[i].value.value.i8 = -8; break;
      case 'B': entries[i].value.value.u8 = 200; break;
      case 's': entries[i].value.value.i16 = -1600; break;
      case 'u': entries[i].value.value.u16 = 60000; break;
      case 'I': entries[i].value.value.i32 = -320000; break;
      case 'i': entries[i].value.value.u32 = 4000000000u; break;
      case 'l': entries[i].value.value.i64 = INT64_MIN; break;
      case 'f': entries[i].value.value.f32 = 1.5f; break;
      case 'd': entries[i].value.value.f64 = 3.25; break;
      case 'D': entries[i].value.value.decimal.decimals = 2; entries[i].value.value.decimal.value = 314; break;
      case 'S': entries[i].value.value.bytes = amqp_cstring_bytes("text"); break;
      case 'x': entries[i].value.value.bytes = amqp_cstring_bytes("\xff\xfe"); break;
      case 'T': entries[i].value.value.u64 = 1700000000; break;
      case 'A': entries[i].value.value.array.num_entries = 2; entries[i].value.value.array.entries = listed; break;
      case 'F': entries[i].value.value.table.num_entries = 1; entries[i].value.value.table.entries = &inner; break;
      default: break;
    }
  }
  amqp_basic_properties_t properties = {0};
  properties._flags = AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG;
  properties.delivery_mode = 2;
  properties.headers.num_entries = count;
  properties.headers.entries = entries;
  publish(queue, amqp_cstring_bytes("body"), 0, &properties);
  amqp_rpc_reply_t got = amqp_basic_get(connection, 1, queue, 1);
  must(got.reply_type == AMQP_RESPONSE_NORMAL && got.reply.id == AMQP_BASIC_GET_OK_METHOD, "get");
  amqp_message_t message;
  must(amqp_read_message(connection, 1, &message, 0).reply_type == AMQP_RESPONSE_NORMAL, "read");
  int same = 0;
  for (int i = 0; i < count; i++) {
    for (int j = 0; j < message.properties.headers.num_entries; j++) {
      amqp_table_t before = {1, &entries[i]}, after = {1, &message.properties.headers.entries[j]};
      char one[200], other[200];
      size_t one_length = 0, other_length = 0;
      must(amqp_encode_table((amqp_bytes_t){sizeof one, one}, &before, &one_length) == AMQP_STATUS_OK, "encode");
      must(amqp_encode_table((amqp_bytes_t){sizeof other, other}, &after, &other_length) == AMQP_STATUS_OK, "encode");
      if (one_length == other_length && memcmp(one, other, one_length) == 0) same++;
    }
  }
  printf("{\"sent\": %d, \"same\": %d, \"mode\": %d}\n", count, same, message.properties.delivery_mode);
}

/* A message that comes back, a channel that is closed, and a login that fails. */
static void refusals(int port) {
  must(login(port, 131072, "guest").reply_type == AMQP_RESPONSE_NORMAL, "login");
  amqp_channel_open(connection, 1);
  answered("channel.open");
  publish(amqp_cstring_bytes("nowhere"), amqp_cstring_bytes("lost"), 1, NULL);
  amqp_frame_t frame;
  must(amqp_simple_wait_frame(connection, &frame) == AMQP_STATUS_OK, "return");
  amqp_basic_return_t *returned = frame.payload.method.decoded;
  printf("[\"%d %.*s\"", returned->reply_code, (int)returned->reply_text.len, (char *)returned->reply_text.bytes);
  amqp_message_t message;
  must(amqp_read_message(connection, 1, &message, 0).reply_type == AMQP_RESPONSE_NORMAL, "read");
  amqp_queue_declare(connection, 1, amqp_cstring_bytes("not there"), 1, 0, 0, 0, amqp_empty_table);
  amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
  must(reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD, "close");
  amqp_channel_close_t *closed = reply.reply.decoded;
  printf(", \"%d %.*s\"", closed->reply_code, (int)closed->reply_text.len, (char *)closed->reply_text.bytes);
  reply = login(port, 131072, "wrong");
  must(reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION && reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD, "refusal");
  amqp_connection_close_t *refused = reply.reply.decoded;
  printf(", \"%d %.*s\"]\n", refused->reply_code, (int)refused->reply_text.len, (char *)refused->reply_text.bytes);
}

int main(int count, char **words) {
  if (count != 3) return 2;
  int port = atoi(words[2]);
  if (strcmp(words[1], "bodies") == 0) bodies(port);
  else if (strcmp(words[1], "consuming") == 0) consuming(port);
  else if (strcmp(words[1], "tables") == 0) tables(port);
  else refusals(port);
  return 0;
}
