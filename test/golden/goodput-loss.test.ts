import { it } from 'vitest'
import { compareGoodput } from './goodput.ts'

it('goodput over loss, round-trip time and rate is what test/golden/goodput.txt says', () => compareGoodput(true))
