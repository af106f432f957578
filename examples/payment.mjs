// A shop that pays a second time when the answer to the first is lost. On a quiet network nothing is ever wrong with it.
// npm run build, then: npx netglass explore examples/payment.mjs --seeds 500
import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** What the bank has done. No order may be paid twice. */
class Ledger {
  orders = new Set()

  pay(order) {
    if (this.orders.has(order)) throw new Error(`order ${order} is paid twice`)
    this.orders.add(order)
  }
}

/** The bank does as it is told; one that knows what orders are does it once. */
const openBank = (ledger, knowsOrders) =>
  http
    .createServer((request, response) => {
      const order = new URL(request.url, 'http://bank').searchParams.get('order')
      console.log(`pays order ${order}`)
      if (!knowsOrders || !ledger.orders.has(order)) ledger.pay(order)
      response.end('paid')
    })
    .listen(80)

/** The shop asks again when no answer comes within two seconds. */
const pay = async (order) => {
  for (let attempt = 1; attempt <= 3; attempt++) {
    try {
      const signal = AbortSignal.timeout(2000)
      return await (await fetch(`http://bank/pay?order=${order}`, { method: 'POST', signal })).text()
    } catch (error) {
      console.log(`attempt ${attempt} at order ${order} has failed: ${error.message}`)
    }
  }
}

/** Five orders over a line that fails once, for some seconds at most. */
const property = (knowsOrders) => async (network) => {
  const [shop, bank] = [network.host('shop'), network.host('bank')]
  network.link(shop, bank, { delay: 20, jitter: 10 })
  const begin = network.random.below(15_000)
  network.at(begin, () => network.partition([shop], [bank]))
  network.at(begin + network.random.below(4000), () => network.heal())
  await network.run(async () => {
    network.on(bank, () => openBank(new Ledger(), knowsOrders))
    await network.on(shop, async () => {
      for (let order = 1; order <= 5; order++) {
        await pay(order)
        await sleep(network.random.below(5000))
      }
    })
  })
}

/** With the mistake, and without. */
export default property(false)
export const mended = property(true)
