/** Without TLS, every host on the way can read a password. The connection works, so this is a warning and no refusal. */
import type { CompiledPipeline, RedisTarget } from './compiled.ts'
import type { Problem } from './validation/problem.ts'

const onThisHost = /^(localhost|127\.[0-9.]+|\[?::1\]?)$/i

/** @param url the URL, if known, of a target that takes it from a Secret or ConfigMap */
export function sendsPlainPassword(target: RedisTarget, url?: string): boolean {
  if (target.tls !== undefined) return false
  switch (target.kind) {
    case 'Url':
      return target.password !== undefined && isPlainUrl(target.url)
    case 'UrlFrom':
      return url !== undefined && isPlainUrl(url) && (target.password !== undefined || new URL(url).password !== '')
    case 'Sentinel':
      return target.password !== undefined || target.sentinelPassword !== undefined
    case 'Cluster':
      return target.password !== undefined
    default:
      return target satisfies never
  }
}

function isPlainUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url?.protocol === 'redis:' && !onThisHost.test(url.hostname)
}

/** The warnings that the spec alone allows. */
export function plainPasswordRemarks({ redis, sink }: CompiledPipeline): readonly Problem[] {
  const places = [
    ['spec.redis', redis] as const,
    ...(sink.redis === undefined ? [] : [['spec.sink.bullmq.redis', sink.redis] as const]),
  ]
  return places.flatMap(([field, target]) =>
    sendsPlainPassword(target)
      ? [
          {
            field,
            message: `the password travels unencrypted. Write ${target.kind === 'Url' ? 'rediss:// in url' : 'tls: {}'}`,
            beyondServer: true,
          },
        ]
      : [],
  )
}
