/**
 * From a JSON Schema that the compiler knows (`as const`) to the TypeScript type of its payloads. Types can express these keywords: type,
 * enum, const, properties, required, additionalProperties: false, items. Everything else (pattern,
 * minimum, oneOf…) is checked when a payload is dispatched, and types as `unknown` where it stands alone.
 */

interface Scalars {
  readonly string: string
  readonly integer: number
  readonly number: number
  readonly boolean: boolean
  readonly null: null
}

type RequiredNames<S> = S extends { readonly required: readonly (infer Name)[] } ? Name : never

type Members<S, P> = {
  readonly [Name in keyof P as Name extends RequiredNames<S> ? Name : never]: PayloadOf<P[Name]>
} & {
  readonly [Name in keyof P as Name extends RequiredNames<S> ? never : Name]?: PayloadOf<P[Name]>
} & (S extends { readonly additionalProperties: false } ? unknown : { readonly [name: string]: unknown })

/**
 * The payloads that a schema describes:
 *
 *     const schema = { type: 'object', required: ['job_id'], properties: { job_id: { type: 'integer' } } } as const
 *     const dispatcher = createDispatcher<PayloadOf<typeof schema>>({ pipeline })
 */
export type PayloadOf<S> = S extends { readonly const: infer Value }
  ? Value
  : S extends { readonly enum: readonly (infer Value)[] }
    ? Value
    : S extends { readonly type: readonly (infer Type)[] }
      ? Type extends string
        ? PayloadOf<Omit<S, 'type'> & { readonly type: Type }>
        : never
      : S extends { readonly type: 'object'; readonly properties: infer P }
        ? Members<S, P>
        : S extends { readonly type: 'object' }
          ? { readonly [name: string]: unknown }
          : S extends { readonly type: 'array'; readonly items: infer Item }
            ? readonly PayloadOf<Item>[]
            : S extends { readonly type: 'array' }
              ? readonly unknown[]
              : S extends { readonly type: infer Type extends keyof Scalars }
                ? Scalars[Type]
                : unknown
