// What the settings about TLS come to, together.
import type { Key, Values } from './schema.ts'
import { addressesOf, ConfigError, type Address } from './setting.ts'

/** The files and rules of one kind of listeners. */
interface Tls {
  readonly certificateFile: string
  readonly keyFile: string
  readonly keyPassword?: string
  readonly authorityFile?: string
  readonly clientCertificates: 'ignored' | 'optional' | 'required'
  readonly versions: Values['tls-versions']
  readonly ciphers?: string
}

interface AmqpTls extends Tls {
  readonly host?: string
  readonly port: number
  readonly alsoListen: readonly Address[]
  readonly login: {
    readonly from: Values['tls-cert-login-from']
    readonly kind: Values['tls-cert-login-san-type']
    readonly index: number
  }
}

interface HttpTls extends Tls {
  readonly managementHost?: string
  readonly managementPort?: number
  readonly prometheusHost?: string
  readonly prometheusPort?: number
}

/** What each kind of listeners is to do; what is absent speaks no TLS. */
export interface TlsSettings {
  readonly tls?: AmqpTls
  readonly managementTls?: HttpTls
}

type Prefix = '' | 'management-'

/**
 * Puts the settings together.
 * @throws ConfigError when they do not go together
 */
export function tlsSettings(values: Values): TlsSettings {
  const amqp = tlsOf(values, '', files(values, ''))
  // RabbitMQ asks for all of them again; most have one certificate for a host.
  const own = values['management-tls-certfile'] !== null || values['management-tls-keyfile'] !== null
  const http = tlsOf(values, 'management-', files(values, own ? 'management-' : ''))
  const login = {
    from: values['tls-cert-login-from'],
    kind: values['tls-cert-login-san-type'],
    index: values['tls-cert-login-san-index'],
  }
  const [port, managementPort, prometheusPort] = [
    values['tls-port'],
    values['management-tls-port'],
    values['prometheus-tls-port'],
  ]
  if (values.port === null && (amqp === null || port === null)) {
    throw new ConfigError('port is none, and AMQP over TLS is not set up either: no client could connect')
  }
  const host = values['tls-host']
  const [managementHost, prometheusHost] = [values['management-tls-host'], values['prometheus-tls-host']]
  const places = {
    ...(managementHost === null ? {} : { managementHost }),
    ...(prometheusHost === null ? {} : { prometheusHost }),
    ...(managementPort === null ? {} : { managementPort }),
    ...(prometheusPort === null ? {} : { prometheusPort }),
  }
  return {
    ...(amqp === null || port === null
      ? {}
      : {
          tls: {
            ...amqp,
            ...(host === null ? {} : { host }),
            port,
            alsoListen: addressesOf(values['tls-also-listen']),
            login,
          },
        }),
    ...(http === null ? {} : { managementTls: { ...http, ...places } }),
  }
}

function files(values: Values, prefix: Prefix) {
  const certificateFile = values[`${prefix}tls-certfile`]
  const keyFile = values[`${prefix}tls-keyfile`]
  const keyPassword = values[`${prefix}tls-password`]
  if ((certificateFile === null) !== (keyFile === null)) {
    const [given, missing]: readonly Key[] = ['tls-certfile', 'tls-keyfile'].map((name) => `${prefix}${name}` as Key)
    const [one, other] = certificateFile === null ? [missing, given] : [given, missing]
    throw new ConfigError(`${one} is set, but not ${other}: a certificate and its key go together`)
  }
  if (certificateFile === null || keyFile === null) return null
  return { certificateFile, keyFile, ...(keyPassword === null ? {} : { keyPassword }) }
}

function tlsOf(values: Values, prefix: Prefix, own: ReturnType<typeof files>): Tls | null {
  const verify = values[`${prefix}tls-verify`] === 'verify_peer'
  const required = values[`${prefix}tls-fail-if-no-peer-cert`]
  if (own === null) {
    if (verify) throw new ConfigError(`${prefix}tls-verify is verify_peer, but there is no ${prefix}tls-certfile`)
    return null
  }
  const authorityFile = values[`${prefix}tls-cacertfile`] ?? values['tls-cacertfile']
  if (required && !verify) {
    throw new ConfigError(`${prefix}tls-fail-if-no-peer-cert needs ${prefix}tls-verify to be verify_peer`)
  }
  if (verify && authorityFile === null) {
    const sentence = `there is no ${prefix}tls-cacertfile to verify certificates with`
    throw new ConfigError(`${prefix}tls-verify is verify_peer, but ${sentence}`)
  }
  const ciphers = values[`${prefix}tls-ciphers`] ?? values['tls-ciphers']
  return {
    ...own,
    ...(authorityFile === null ? {} : { authorityFile }),
    clientCertificates: verify ? (required ? 'required' : 'optional') : 'ignored',
    versions: values[`${prefix}tls-versions`] ?? values['tls-versions'],
    ...(ciphers === null ? {} : { ciphers }),
  }
}
