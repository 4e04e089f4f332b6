// The official JavaScript SDK: batchByChunk for many writes and fetchList for
// many items, as its guides recommend. The protocol is in .ci/figures.md.
import { createWriteStream } from 'node:fs'
import { B24Hook } from '@bitrix24/b24jssdk'

const { FIGURE_URL: url, FIGURE_SCENARIO: scenario, FIGURE_COUNT: count, FIGURE_OUT: file } = process.env
const portal = B24Hook.fromWebhookUrl(url.replace(/\/$/, ''))
portal.offClientSideWarning()
const api = portal.actions.v2

const scenarios = {
  async updates() {
    const calls = Array.from({ length: Number(count) }, (_, i) => ['crm.item.update', {
      entityTypeId: 3, id: i + 1, fields: { post: `Desk ${i + 1}` }
    }])
    const answer = await api.batchByChunk.make({ calls, options: { isHaltOnError: false } })
    if (!answer.isSuccess) throw new Error(answer.getErrorMessages()[0])
  },

  async list() {
    const out = createWriteStream(file)
    const pages = api.fetchList.make({
      method: 'crm.item.list',
      params: { entityTypeId: 128, select: ['id', 'title', 'stageId', 'assignedById'] },
      idKey: 'id',
      customKeyForResult: 'items'
    })
    for await (const page of pages) {
      for (const item of page) out.write(JSON.stringify(item) + '\n')
    }
    await new Promise((resolve) => out.end(resolve))
  }
}

const run = scenarios[scenario.split(' ')[0]]
if (!run) process.exit(77)
await run()
