// The commands of rabbitmqctl, rabbitmq-diagnostics, -queues and -upgrade that have no meaning here, and why.

const NO_CLUSTER = 'there is one node, and no cluster that it could be in'
const NO_REPLICAS = 'there is one node: queues have no replicas'
const NO_ERLANG = 'the broker is a program for Node.js: there is no Erlang in it to ask'
const NO_ENCRYPTION =
  'settings are not encrypted here: give passwords in variables, or in a file that others cannot read'
const NO_OLD_LOG =
  'the log goes to standard error, and the broker keeps none of it: log_tail_stream shows what comes, and whoever started the broker has the rest, as journalctl does'
const NO_STOPPED_STATE =
  'the broker runs as long as its process does: suspend_listeners keeps clients out, stop ends it'
const NO_RESET = 'stop the broker and delete its data directory: that is all there is to reset'
const NO_SYSTEM = 'the operating system tells that, with its own programs'
const DISK_LIMIT = 'set_disk_free_limit 0 has free disk space not looked at, any other limit has it looked at again'
const NO_SHOVELS = 'there are no shovels: leveret drain-from moves messages, ctl move_messages those within a broker'
const NO_FEDERATION = 'there is no federation'
const NO_OTHER_PROTOCOLS = 'the broker speaks AMQP 0-9-1: list_connections has all its connections'
const NO_KHEPRI = 'definitions and messages lie in one database, which check_running tells the state of'
const LOGINS_COUNTED = 'logins are always counted by address and user: GET /api/auth/attempts/NODE/source tells them'

/** Why a command has no meaning here, as the end of a sentence, by its name. */
export const absentCommands: Readonly<Record<string, string>> = {
  ...because(NO_CLUSTER, [
    'join_cluster',
    'forget_cluster_node',
    'change_cluster_node_type',
    'rename_cluster_node',
    'update_cluster_nodes',
    'force_boot',
    'force_standalone_khepri_boot',
    'discover_peers',
    'list_discovery_peers',
    'reconcile_vhosts',
  ]),
  ...because(NO_REPLICAS, [
    'sync_queue',
    'cancel_sync_queue',
    'grow',
    'grow_to_count',
    'shrink',
    'add_member',
    'delete_member',
    'rebalance',
    'transfer_leadership',
    'quorum_status',
    'stream_status',
    'reclaim_quorum_memory',
    'force_checkpoint',
    'member_with_highest_index',
    'leader_health_check',
    'check_if_new_quorum_queue_replicas_have_finished_initial_sync',
    'enable_classic_mirroring',
    'disable_classic_mirroring',
    'remove_classic_queue_mirroring_from_policies',
    'check_if_cluster_has_classic_queue_mirroring_policy',
    'list_policies_with_classic_queue_mirroring',
    'list_operator_policies_with_classic_queue_mirroring',
    'await_online_quorum_plus_one',
    'await_online_synchronized_mirror',
  ]),
  ...because(NO_ERLANG, [
    'eval',
    'eval_file',
    'exec',
    'remote_shell',
    'observer',
    'erlang_version',
    'erlang_cookie_hash',
    'erlang_cookie_sources',
    'runtime_thread_stats',
    'hipe_compile',
    'code_path',
    'schema_info',
    'list_channel_interceptors',
    'set_channel_interceptor_priorities',
  ]),
  ...because(NO_ENCRYPTION, [
    'encode',
    'decode',
    'encrypt_conf_value',
    'decrypt_conf_value',
    'list_ciphers',
    'list_hashes',
  ]),
  log_tail: NO_OLD_LOG,
  ...because(NO_STOPPED_STATE, ['start_app', 'stop_app', 'drain', 'revive', 'post_upgrade']),
  ...because(NO_RESET, ['reset', 'force_reset']),
  ...because(NO_SYSTEM, ['os_env', 'list_network_interfaces', 'resolve_hostname', 'resolver_info']),
  ...because(DISK_LIMIT, [
    'enable_free_disk_space_monitoring',
    'disable_free_disk_space_monitoring',
    'activate_free_disk_space_monitoring',
    'deactivate_free_disk_space_monitoring',
  ]),
  ...because(NO_SHOVELS, ['shovel_status', 'restart_shovel', 'delete_shovel']),
  ...because(NO_FEDERATION, ['federation_status', 'restart_federation_link']),
  ...because(NO_OTHER_PROTOCOLS, [
    'list_amqp10_connections',
    'list_mqtt_connections',
    'list_stomp_connections',
    'list_stream_connections',
    'list_sessions',
    'amqp_sole_conn_status',
    'amqp_sole_conn_force_delete',
    'decommission_mqtt_node',
    'set_stream_retention_policy',
  ]),
  ...because(NO_KHEPRI, [
    'metadata_store_status',
    'check_if_metadata_store_is_initialized',
    'check_if_metadata_store_is_initialized_with_data',
  ]),
  ...because(LOGINS_COUNTED, ['enable_auth_attempt_source_tracking', 'disable_auth_attempt_source_tracking']),
  maybe_stuck: 'ctl why QUEUE tells what keeps a queue from moving, and the metrics how late the event loop is',
  message_size_stats: 'the metrics have a histogram of the sizes of messages',
  certificates: 'check_certificate_expiration tells of certificates that end soon, with their files',
  command_line_arguments: 'ctl environment tells every setting and where it comes from, flags among them',
  check_if_any_deprecated_features_are_used:
    'ctl list_deprecated_features tells what is deprecated; none of it is here',
  autocomplete: 'leveret completion prints what a shell needs to complete commands',
}

function because(reason: string, names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map((name) => [name, reason]))
}
