// @2bad/bitrix: batch for many writes. Its list can't read crm.item.list, whose
// pages are objects, so that items are read by what list does: a call that
// tells how many there are, then a batch of all pages. The protocol is in
// .ci/figures.md.
const { createWriteStream } = require('node:fs')
const { Bitrix } = require('@2bad/bitrix')

const { FIGURE_URL: url, FIGURE_SCENARIO: scenario, FIGURE_COUNT: count, FIGURE_OUT: file } = process.env
const bitrix = Bitrix(url.replace(/\/$/, ''))

const scenarios = {
  async updates() {
    await bitrix.batch(Array.from({ length: Number(count) }, (_, i) => ({
      method: 'crm.contact.update', params: { ID: i + 1, fields: { POST: `Desk ${i + 1}` } }
    })))
  },

  async list() {
    const method = 'crm.item.list'
    const params = { entityTypeId: 128, select: ['id', 'title', 'stageId', 'assignedById'] }
    const { total } = await bitrix.call(method, params)
    const pages = Array.from({ length: Math.ceil(total / 50) }, (_, i) => ({ method, params: { ...params, start: 50 * i } }))
    const { result } = await bitrix.batch(pages)
    const out = createWriteStream(file)
    for (const page of Object.values(result.result)) {
      for (const item of page.items) out.write(JSON.stringify(item) + '\n')
    }
    await new Promise((resolve) => out.end(resolve))
  }
}

const run = scenarios[scenario.split(' ')[0]]
if (!run) process.exit(77)
run().catch((fault) => {
  console.error(fault.message)
  process.exit(1)
})
