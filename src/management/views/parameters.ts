// The parameters of a vhost as RabbitMQ lists them.
import type { Broker } from '../../core/broker.ts'
import type { VHost } from '../../core/vhost.ts'
import { limitsParameter, operatorPolicies, type Parameter } from './policies.ts'

/** The parameters of a vhost, and what RabbitMQ keeps as such. Policies have a list of their own. */
export function parametersOf(broker: Broker, vhost: VHost): readonly Parameter[] {
  const own = [...broker.parameters.all].filter((one) => one.vhost === vhost.name)
  return [...own, ...operatorPolicies(broker.policies, vhost.name), ...limitsParameter(broker.quotas, vhost.name)]
}
