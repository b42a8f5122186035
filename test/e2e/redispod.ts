/** A Redis in a pod: an image made from this machine's own redis-server, so that no registry is needed, and its objects. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type Builder, buildImage } from '../../build/images.ts'

export const redisImage = 'streampipeline-test/redis:1'

export function buildRedisImage(builder: Builder, archive: string, server: string): void {
  const context = mkdtempSync(join(tmpdir(), 'streampipeline-redisimage-'))
  try {
    const binary = realpathSync(server)
    const put = (from: string, to: string) => {
      mkdirSync(dirname(join(context, 'root', to)), { recursive: true })
      copyFileSync(from, join(context, 'root', to))
    }
    put(binary, '/redis-server')
    for (const [path] of execFileSync('ldd', [binary], { encoding: 'utf8' }).matchAll(/\/\S+/g)) put(realpathSync(path), path)
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY root/ /\nENTRYPOINT ["/redis-server"]\n')
    buildImage(builder, { reference: redisImage, archive, dockerfile: join(context, 'Dockerfile'), context })
  } finally {
    rmSync(context, { recursive: true, force: true })
  }
}

/** Every write is on disk before it is answered, so a killed server comes back with all it has promised. */
const flags = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '', '--dir', '/data', '--protected-mode', 'no']

export const redisObjects = {
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'redis' },
      spec: { selector: { app: 'redis' }, ports: [{ port: 6379 }] },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'redis' },
      spec: {
        serviceName: 'redis',
        selector: { matchLabels: { app: 'redis' } },
        template: {
          metadata: { labels: { app: 'redis' } },
          spec: {
            automountServiceAccountToken: false,
            securityContext: {
              runAsNonRoot: true,
              runAsUser: 65532,
              fsGroup: 65532,
              seccompProfile: { type: 'RuntimeDefault' },
            },
            containers: [
              {
                name: 'redis',
                image: redisImage,
                imagePullPolicy: 'IfNotPresent',
                args: [...flags, '--maxmemory-policy', 'noeviction', '--enable-debug-command', 'yes'],
                ports: [{ containerPort: 6379 }],
                readinessProbe: { tcpSocket: { port: 6379 }, periodSeconds: 1 },
                securityContext: {
                  allowPrivilegeEscalation: false,
                  readOnlyRootFilesystem: true,
                  capabilities: { drop: ['ALL'] },
                },
                volumeMounts: [{ name: 'data', mountPath: '/data' }],
              },
            ],
            volumes: [{ name: 'data', emptyDir: {} }],
          },
        },
      },
    },
  ],
}
