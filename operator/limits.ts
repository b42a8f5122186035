/**
 * The limits that an administrator sets on pipelines, in one table. Four things are made from it: the flags of `streampipeline operator`,
 * the chart's values, its ValidatingAdmissionPolicy, and docs/tenancy.md. A limit that is not set allows everything. A list that is set
 * and empty allows only the operator's own default.
 */
import { failure } from '../api/errors.ts'
import { isObjectName } from '../api/names.ts'
import { isAddress, isNetwork } from '../redis/connect/networkaddress.ts'

export interface ListLimit {
  /** Name in OperatorOptions and, under `tenancy`, in the chart's values. */
  readonly value: LimitName
  /** Name on the command line. */
  readonly flag: string
  readonly help: string
  /** Form of an item: a regular expression that JSON Schema and JavaScript read alike. */
  readonly form: string
  readonly formText: string
  /** Checks beyond the form. */
  readonly fits?: (item: string) => boolean
}

export type LimitName =
  | 'images'
  | 'volumes'
  | 'envSources'
  | 'serviceAccounts'
  | 'priorityClasses'
  | 'tolerations'
  | 'redisHosts'
  | 'redisNetworks'

const objectName = '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$'

export const listLimits: readonly ListLimit[] = [
  {
    value: 'images',
    flag: '--allow-images',
    help: 'Allowed images of consumers: registries, folders or images. An item matches whole path components (`ghcr.io/acme` does not match `ghcr.io/acme-evil`). Empty: only the default image',
    form: '^[A-Za-z0-9]([A-Za-z0-9._:/@-]*[A-Za-z0-9])?$',
    formText: 'a registry, folder or image such as ghcr.io/acme',
    fits: (item) => !item.includes('..') && !item.includes('//'),
  },
  {
    value: 'volumes',
    flag: '--allow-volumes',
    help: 'Allowed types of `spec.consumer.volumes`, such as `configMap`, `emptyDir` and `projected`. They also limit the sources of projected volumes',
    form: '^[a-z][A-Za-z]*$',
    formText: 'a type of volume such as configMap',
  },
  {
    value: 'envSources',
    flag: '--allow-env-sources',
    help: 'Allowed sources of `spec.consumer.env` and `envFrom`, such as `configMapKeyRef`, `secretKeyRef`, `fieldRef`, `configMapRef` and `secretRef`',
    form: '^[a-z][A-Za-z]*$',
    formText: 'a source such as configMapKeyRef',
  },
  {
    value: 'serviceAccounts',
    flag: '--allow-service-accounts',
    help: 'Allowed names in `spec.consumer.serviceAccountName`. Empty: only the account that the operator makes',
    form: objectName,
    formText: 'the name of a ServiceAccount',
    fits: isObjectName,
  },
  {
    value: 'priorityClasses',
    flag: '--allow-priority-classes',
    help: 'Allowed names in `spec.consumer.priorityClassName`. Empty: none',
    form: objectName,
    formText: 'the name of a priority class',
    fits: isObjectName,
  },
  {
    value: 'tolerations',
    flag: '--allow-tolerations',
    help: 'Allowed keys of taints in `spec.consumer.tolerations`. A toleration without a key is refused, since it tolerates every taint',
    form: '^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$',
    formText: 'the key of a taint',
  },
  {
    value: 'redisHosts',
    flag: '--allow-redis-hosts',
    help: 'Allowed hosts of Redis: names, suffixes after `*.`, or addresses. `{namespace}` stands for the pipeline’s namespace, as in `*.{namespace}.svc`. A name without dots in a pipeline means the Service `NAME.NAMESPACE.svc`',
    form: '^([*][.])?[a-z0-9{:]([a-z0-9.:{}_-]*[a-z0-9}:])?$',
    formText: 'a name such as redis.example.com or *.{namespace}.svc, or an address',
    fits: (item) => isAddress(item) || !/[:]/.test(item),
  },
  {
    value: 'redisNetworks',
    flag: '--allow-redis-networks',
    help: 'Allowed networks of Redis, such as `10.0.0.0/8`. Each address of a connection must be in one of them, even if a Sentinel or a node of a cluster announces it',
    form: '^[0-9a-f.:]+/[0-9]{1,3}$',
    formText: 'a network such as 10.0.0.0/8',
    fits: isNetwork,
  },
]

/** The flags, read and checked. */
export interface Limits extends Readonly<Partial<Record<LimitName, readonly string[]>>> {
  /** Whether pods must meet the pod security standard `restricted`. */
  readonly restrictedPods: boolean
  /** Whether Redis may be at a loopback or link-local address of the operator, or at a metadata service. */
  readonly localRedis: boolean
  /** A label that each Secret named by a pipeline must carry; undefined: none. */
  readonly secretLabel?: SecretLabel
  /** The operator's own namespace: pipelines there may not use its signing Secret. */
  readonly operatorNamespace?: string
}

export interface SecretLabel {
  readonly key: string
  /** Undefined: any value. */
  readonly value: string | undefined
}

export type LimitOptions = Readonly<Partial<Record<LimitName, string>>> & {
  readonly restrictedPods?: boolean
  /** `allow` or `refuse`; default: refuse in a pod of the cluster, else allow. */
  readonly localRedis?: string
  /** `KEY` or `KEY=VALUE`. */
  readonly secretLabel?: string
}

export const noLimits: Limits = Object.freeze({ restrictedPods: false, localRedis: true })

const labelForm =
  /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?(=([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?)?$/

/** Throws InvalidOption. */
export function compileLimits(options: LimitOptions, inCluster: boolean): Limits {
  const lists = listLimits.flatMap((limit) => {
    const given = options[limit.value]
    return given === undefined ? [] : [[limit.value, itemsOf(limit, given)] as const]
  })
  const { localRedis, secretLabel } = options
  if (localRedis !== undefined && localRedis !== 'allow' && localRedis !== 'refuse')
    throw failure('InvalidOption', { option: '--local-redis', detail: `${localRedis} is neither allow nor refuse` })
  if (secretLabel !== undefined && !labelForm.test(secretLabel))
    throw failure('InvalidOption', { option: '--secret-label', detail: `${secretLabel} is no label: write KEY or KEY=VALUE` })
  const [key = '', value] = (secretLabel ?? '').split('=')
  return Object.freeze({
    ...Object.fromEntries(lists),
    restrictedPods: options.restrictedPods ?? false,
    localRedis: localRedis === undefined ? !inCluster : localRedis === 'allow',
    ...(key === '' ? {} : { secretLabel: { key, value } }),
  })
}

function itemsOf({ flag, form, formText, fits }: ListLimit, given: string): readonly string[] {
  const items = given
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
  const odd = items.find((item) => !new RegExp(form).test(item) || fits?.(item) === false)
  if (odd !== undefined) throw failure('InvalidOption', { option: flag, detail: `${odd} is not ${formText}` })
  return Object.freeze([...new Set(items)])
}
