// Certificates and keys: read from files, checked, and read again when the files have changed.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { Clock, Timer } from '../../lib/clock.ts'

/** TLS 1.0 and 1.1 are not spoken (RFC 8996). The words are RabbitMQ's. */
export const TLS_VERSIONS = ['tlsv1.2', 'tlsv1.3'] as const
/** A version that can be asked for. */
export type TlsVersion = (typeof TLS_VERSIONS)[number]

/** Where certificates are, and what is spoken with them. */
export interface TlsSettings {
  /** PEM: the server's certificate, followed by those between it and the authority's. */
  readonly certificateFile: string
  /** PEM. */
  readonly keyFile: string
  /** What the key is encrypted with. */
  readonly keyPassword?: string | undefined
  /** PEM: the authorities whose certificates clients may have. */
  readonly authorityFile?: string | undefined
  /** Whether clients are asked for a certificate, and turned away without one. One that is given is always verified. */
  readonly clientCertificates?: ClientCertificates | undefined
  /** Absent: all. */
  readonly versions?: readonly TlsVersion[] | undefined
  /** OpenSSL's names, separated by colons. Absent: Node's choice. */
  readonly ciphers?: string | undefined
}

/** What becomes of a certificate of the client: only `required` refuses whoever has none. */
export type ClientCertificates = 'ignored' | 'optional' | 'required'

/** Something is wrong with the files. The message is a sentence for the operator. */
export class TlsError extends Error {
  constructor(sentence: string, options?: ErrorOptions) {
    super(sentence, options)
    this.name = 'TlsError'
  }
}

/** One of the certificates that are in use. */
export interface UsedCertificate {
  readonly file: string
  readonly role: 'own' | 'authority'
  /** Milliseconds since 1970. */
  readonly validFrom: number
  readonly validTo: number
}

/** Who is told what came of changed files. */
export interface TlsFilesListener {
  /** Connections from here on are to use `files.context`. */
  tlsRenewed(): void
  /** The files cannot be used; what was read before stays. */
  tlsNotRenewed(error: Error): void
}

/** How often the files are looked at. */
export const LOOK_MS = 30_000

const NODE_VERSIONS = { 'tlsv1.2': 'TLSv1.2', 'tlsv1.3': 'TLSv1.3' } as const

interface Loaded {
  readonly context: SecureContextOptions
  readonly certificates: readonly UsedCertificate[]
}

/** The files of one set of listeners. */
export class TlsFiles {
  readonly settings: TlsSettings
  #loaded: Loaded
  #seen: string

  private constructor(settings: TlsSettings, loaded: Loaded, seen: string) {
    this.settings = settings
    this.#loaded = loaded
    this.#seen = seen
  }

  /**
   * Reads and checks the files.
   * @throws TlsError
   */
  static async open(settings: TlsSettings): Promise<TlsFiles> {
    const seen = await look(settings)
    return new TlsFiles(settings, await load(settings), seen)
  }

  /** What TLS servers are made with. */
  get context(): SecureContextOptions {
    return this.#loaded.context
  }

  get certificates(): readonly UsedCertificate[] {
    return this.#loaded.certificates
  }

  /** Looks at the files from time to time, and reads them again when they have changed. */
  watch(clock: Clock, listener: TlsFilesListener): Timer {
    let looking = false
    return clock.every(LOOK_MS, () => {
      if (looking) return
      looking = true
      void this.#look(listener).finally(() => (looking = false))
    })
  }

  async #look(listener: TlsFilesListener): Promise<void> {
    const seen = await look(this.settings)
    if (seen === this.#seen) return
    // Whatever comes of it: the same files are not tried twice.
    this.#seen = seen
    try {
      this.#loaded = await load(this.settings)
    } catch (error) {
      listener.tlsNotRenewed(error as Error)
      return
    }
    listener.tlsRenewed()
  }
}

/** What changes when a file does, also when it is replaced by another or comes and goes. */
async function look({ certificateFile, keyFile, authorityFile }: TlsSettings): Promise<string> {
  const files = [certificateFile, keyFile, ...(authorityFile === undefined ? [] : [authorityFile])]
  const looks = files.map(async (file) => {
    try {
      const { ino, size, mtimeMs } = await stat(file)
      return `${ino} ${size} ${mtimeMs}`
    } catch (error) {
      return String(error)
    }
  })
  return (await Promise.all(looks)).join('\n')
}

async function load(settings: TlsSettings): Promise<Loaded> {
  const { certificateFile, keyFile, keyPassword, authorityFile, versions = TLS_VERSIONS, ciphers } = settings
  const own = await certificatesIn(certificateFile, 'own')
  const key = await readPem(keyFile, 'key')
  checkKey(settings, own.parsed[0]!, key)
  const authorities = authorityFile === undefined ? null : await certificatesIn(authorityFile, 'authority')
  const context: SecureContextOptions = {
    cert: own.pem,
    key,
    minVersion: NODE_VERSIONS[versions.includes('tlsv1.2') ? 'tlsv1.2' : 'tlsv1.3'],
    maxVersion: NODE_VERSIONS[versions.includes('tlsv1.3') ? 'tlsv1.3' : 'tlsv1.2'],
    honorCipherOrder: true,
    ...(keyPassword === undefined ? {} : { passphrase: keyPassword }),
    ...(authorities === null ? {} : { ca: authorities.pem }),
    ...(ciphers === undefined ? {} : { ciphers }),
  }
  try {
    createSecureContext(context)
  } catch (error) {
    const reason = (error as Error).message
    throw new TlsError(`TLS cannot be spoken with the certificate ${certificateFile}: ${reason}`, { cause: error })
  }
  return { context, certificates: [...own.used, ...(authorities?.used ?? [])] }
}

async function certificatesIn(file: string, role: 'own' | 'authority') {
  const pem = await readPem(file, role === 'own' ? 'certificate' : 'CA certificate')
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs)
  if (blocks === null) throw new TlsError(`the file ${file} holds no certificate in PEM`)
  try {
    const parsed = blocks.map((block) => new X509Certificate(block))
    const used = parsed.map(({ validFrom, validTo }): UsedCertificate => {
      return { file, role, validFrom: Date.parse(validFrom), validTo: Date.parse(validTo) }
    })
    return { pem, parsed, used }
  } catch (error) {
    throw new TlsError(`the file ${file} holds a certificate that cannot be read`, { cause: error })
  }
}

async function readPem(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const reason = code === 'ENOENT' ? 'it does not exist' : (error as Error).message
    throw new TlsError(`the ${what} file ${file} cannot be read: ${reason}`, { cause: error })
  }
}

function checkKey({ certificateFile, keyFile, keyPassword }: TlsSettings, certificate: X509Certificate, key: string) {
  let fits: boolean
  try {
    const secret = createPrivateKey({ key, ...(keyPassword === undefined ? {} : { passphrase: keyPassword }) })
    fits = certificate.checkPrivateKey(secret)
  } catch (error) {
    if (/BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED/.test(key)) {
      const fault = keyPassword === undefined ? 'its password is not given' : 'the password that is given is wrong'
      throw new TlsError(`the key file ${keyFile} is encrypted, and ${fault}`, { cause: error })
    }
    throw new TlsError(`the file ${keyFile} holds no private key in PEM`, { cause: error })
  }
  if (!fits) throw new TlsError(`the key in ${keyFile} does not belong to the certificate in ${certificateFile}`)
}
