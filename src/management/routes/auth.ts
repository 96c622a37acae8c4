// Logging in by form, and how often it was tried.
import type { AttemptCounts } from '../../core/access/login-attempts.ts'
import { HttpError, type JsonObject } from '../http-error.ts'
import { Listing } from '../listing.ts'
import { assertThisNode, NO_CONTENT, type Call, type Route } from '../route.ts'
import { whoami } from './overview.ts'

const ATTEMPTS = '/api/auth/attempts/:node'
const FORM = ['application/x-www-form-urlencoded'] as const
/** Bytes that a form with a name and a password may have. */
const FORM_BYTES_MAX = 8192

export const authRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/api/login',
    needs: 'nobody',
    bodyTypes: FORM,
    bodyBytesMax: FORM_BYTES_MAX,
    handle: login,
  },
  // Nothing is kept of a login, so there is nothing to end.
  { method: 'DELETE', path: '/api/login', needs: 'management', handle: () => NO_CONTENT },
  { method: 'GET', path: ATTEMPTS, needs: 'monitoring', handle: attempts },
  { method: 'DELETE', path: ATTEMPTS, needs: 'administrator', handle: forget },
  { method: 'GET', path: `${ATTEMPTS}/source`, needs: 'monitoring', handle: attemptsBySource },
  { method: 'DELETE', path: `${ATTEMPTS}/source`, needs: 'administrator', handle: forgetSources },
]

/** Says what to send as Basic credentials from now on, and who that is. */
async function login(call: Call) {
  const form = new URLSearchParams(call.bytes.toString('utf8'))
  const [name, password] = [form.get('username'), form.get('password')]
  if (name === null || password === null) throw new HttpError(401, 'not_authorized', 'Login failed')
  const user = await call.authentication.login(name, password, call.address)
  if (!call.broker.access.tagged(user, 'management')) throw new HttpError(401, 'not_authorized', 'Not management user')
  const value = Buffer.from(`${name}:${password}`).toString('base64')
  return { token: { type: 'basic', value }, user: whoami({ user }) }
}

function attempts(call: Call) {
  assertThisNode(call)
  return new Listing(
    call.broker.access.attempts.protocols,
    ([protocol, counts]) => ({ protocol, ...countsJson(counts) }),
    false,
  )
}

function attemptsBySource(call: Call) {
  assertThisNode(call)
  return new Listing(
    call.broker.access.attempts.sources,
    ({ protocol, address, user, counts }) => ({
      remote_address: address,
      username: user,
      protocol,
      ...countsJson(counts),
    }),
    false,
  )
}

function countsJson({ succeeded, failed }: AttemptCounts): JsonObject {
  return {
    auth_attempts: succeeded + failed,
    auth_attempts_failed: failed,
    auth_attempts_succeeded: succeeded,
  }
}

function forget(call: Call) {
  assertThisNode(call)
  call.broker.access.attempts.reset()
  return NO_CONTENT
}

function forgetSources(call: Call) {
  assertThisNode(call)
  call.broker.access.attempts.resetSources()
  return NO_CONTENT
}
