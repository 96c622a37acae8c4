// The parameters of a vhost as RabbitMQ lists them, and what of them is kept here without being acted on.
import type { Broker } from '../../core/broker.ts'
import type { VHost } from '../../core/vhost.ts'
import { limitsParameter, operatorPolicies, type Parameter } from './policies.ts'

/** What RabbitMQ's plugins keep as parameters. They are kept here too, for tools and for the way back, and not acted on. */
export const INERT_COMPONENTS: ReadonlySet<string> = new Set([
  'shovel',
  'federation-upstream',
  'federation-upstream-set',
])
/** What a parameter of those is answered and logged with. */
export const INERT = 'is kept, but nothing is done with it: this broker runs neither shovels nor federation'

/** The parameters of a vhost, and what RabbitMQ keeps as such. Policies have a list of their own. */
export function parametersOf(broker: Broker, vhost: VHost): readonly Parameter[] {
  const own = [...broker.parameters.all].filter((one) => one.vhost === vhost.name)
  return [...own, ...operatorPolicies(broker.policies, vhost.name), ...limitsParameter(broker.quotas, vhost.name)]
}
