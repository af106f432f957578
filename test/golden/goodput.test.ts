import { it } from 'vitest'
import { compareGoodput } from './goodput.ts'

it('goodput over round-trip time and rate, without loss, is what test/golden/goodput.txt says', () =>
  compareGoodput(false))
