/** An in-toto statement of a release: which files were made, from which commit, lock file, base image and Node. SLSA's predicate, v1. */
import type { Source } from './source.ts'

interface ProvenanceInput {
  readonly subjects: readonly { readonly name: string; readonly sha256: string }[]
  readonly version: string
  readonly source: Source
  /** SHA-256 of package-lock.json. */
  readonly lockfile: string
  /** `NAME@sha256:…`; undefined: without images. */
  readonly base: string | undefined
  readonly node: string
  /** The builder that signs for the build. */
  readonly builder: string
}

export function provenance({ subjects, version, source, lockfile, base, node, builder }: ProvenanceInput): object {
  const { revision, address } = source
  const dependencies = [
    { ...(address === undefined ? { name: 'source' } : { uri: `git+${address}` }), digest: { gitCommit: revision } },
    { name: 'package-lock.json', digest: { sha256: lockfile } },
    ...(base === undefined ? [] : [{ uri: `docker://${base}`, digest: { sha256: base.slice(base.indexOf('@sha256:') + 8) } }]),
  ]
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: subjects.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'https://streampipeline.dev/buildtypes/release/v1',
        externalParameters: { version, images: base !== undefined },
        internalParameters: { node },
        resolvedDependencies: dependencies,
      },
      // No times: two builds of one commit are to be compared.
      runDetails: { builder: { id: builder } },
    },
  }
}
