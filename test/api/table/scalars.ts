/** Plain scalars of YAML on whose meaning parsers differ. */
export const scalars: readonly string[] =
  `010 0o10 0x1F 0b11 0X1F 0B11 0O10 +0x10 -0b1 -010 +010 08 09 089 0b2 0x 0xg 0_8 1_000 1__0 _1 1_ -1_0
  1.0 1. .5 +5 -5 +.5 -0 0.0 0. 0.1 1e3 1E3 1.5e3 1e-3 12e03 1e 1e+3 1.e3 .e1 . 1.2.3 6.8523015e+5 685_230.15 685.230_15e+03 123456789012345678
  ~ null Null NULL NuLL true True TRUE tRue TrUe false False FALSE yEs oN nO oFF
  2001-01-01 2001-01-01T00:00:00Z 12:30 12:30:45 190:20:30 1:1 =`.split(/\s+/)
