// Drives the sandbox portal with the official JavaScript SDK and compares what
// the SDK hands back with what was written. Any mismatch ends with exit code 1.
//
// Usage: BXFLOW_SANDBOX_URL=https://127.0.0.1:PORT/rest/1/SECRET/ node check.mjs [contacts]
import assert from 'node:assert/strict'
import { B24Hook } from '@bitrix24/b24jssdk'

const CONTACT = 3
const ONBOARDING = 128
const CATEGORY = 42

const url = process.env.BXFLOW_SANDBOX_URL
assert.ok(url, 'BXFLOW_SANDBOX_URL is not set')
const total = Number(process.argv[2] ?? 300)

const portal = B24Hook.fromWebhookUrl(url.replace(/\/$/, ''))
portal.offClientSideWarning()
const api = portal.actions.v2

// data returns what a call came to, or ends the check with the portal's errors.
function data(answer, what) {
  assert.ok(answer.isSuccess, `${what}: ${answer.getErrorMessages().join('; ')}`)
  return answer.getData()
}

async function call(method, params = {}) {
  return data(await api.call.make({ method, params }), method).result
}

// commands runs any number of commands in batches of 50, in order.
async function commands(calls, what) {
  return data(await api.batchByChunk.make({ calls, options: { isHaltOnError: true } }), what)
}

async function listContacts(filter) {
  return data(await api.callList.make({
    method: 'crm.item.list',
    params: { entityTypeId: CONTACT, select: ['id', 'name', 'lastName', 'originId', 'post'], filter },
    idKey: 'id',
    customKeyForResult: 'items'
  }), 'crm.item.list')
}

const mine = { originatorId: 'jssdk-check' }
const steps = {
  'answers who we are': async () => {
    const profile = await call('profile')
    assert.equal(profile.ID, '1')
    assert.equal(profile.ADMIN, true)
    assert.ok((await call('scope')).includes('crm'))
    const drift = Math.abs(Date.now() - Date.parse(await call('server.time')))
    assert.ok(drift < 60_000, `the portal's clock is ${drift} ms away`)
  },

  'describes the portal': async () => {
    const { types } = await call('crm.type.list')
    const card = types.find((type) => type.entityTypeId === ONBOARDING)
    assert.equal(card.title, 'Onboarding')
    const { categories } = await call('crm.category.list', { entityTypeId: ONBOARDING })
    assert.deepEqual(categories.map((category) => category.name), ['Clients', 'Partners'])
    const stages = await call('crm.status.list', { filter: { ENTITY_ID: `DYNAMIC_${ONBOARDING}_STAGE_${CATEGORY}` }, order: { SORT: 'ASC' } })
    assert.equal(stages[0].STATUS_ID, `DT${ONBOARDING}_${CATEGORY}:NEW`)
    const { fields } = await call('crm.item.fields', { entityTypeId: CONTACT })
    assert.equal(fields.lastName.type, 'string')
    const [ana] = await call('user.get', { FILTER: { EMAIL: 'ana@example.com' } })
    assert.equal(ana.EMAIL, 'ana@example.com')
  },

  [`imports ${total} contacts`]: async () => {
    assert.equal((await listContacts(mine)).length, 0, 'the sandbox is not fresh')
    const added = await commands(Array.from({ length: total }, (_, row) => ['crm.item.add', {
      entityTypeId: CONTACT,
      fields: {
        ...mine,
        originId: `row ${row}`,
        name: `Zoë & Søn <${row}>`,
        lastName: `"Quoted" 100% #${row} + 1`,
        fm: [
          { typeId: 'PHONE', valueType: 'WORK', value: `+55 11 95${String(row).padStart(6, '0')}` },
          { typeId: 'EMAIL', valueType: 'WORK', value: `row${row}@example.com` }
        ]
      }
    }]), 'crm.item.add')
    assert.equal(added.length, total)
    assert.equal(new Set(added.map((result) => result.item.id)).size, total)
    assert.equal(added[7].item.lastName, '"Quoted" 100% #7 + 1')
    assert.equal(added[7].item.fm.length, 2)
  },

  'lists them all': async () => {
    const contacts = await listContacts(mine)
    assert.equal(contacts.length, total)
    assert.equal(contacts.at(-1).name, `Zoë & Søn <${total - 1}>`)
    let streamed = 0
    for await (const page of api.fetchList.make({
      method: 'crm.contact.list',
      params: { select: ['ID', 'ORIGIN_ID'], filter: { ORIGINATOR_ID: mine.originatorId } }
    })) streamed += page.length
    assert.equal(streamed, total, 'crm.contact.list sees other contacts than crm.item.list')
    const answer = await api.call.make({ method: 'crm.item.list', params: { entityTypeId: CONTACT, filter: mine, select: ['id'], order: { id: 'ASC' } } })
    assert.equal(answer.getTotal(), total)
    assert.equal(answer.isMore(), total > 50)
  },

  'updates them': async () => {
    const contacts = await listContacts(mine)
    await commands(contacts.map(({ id }) => ['crm.item.update', { entityTypeId: CONTACT, id, fields: { post: `Desk ${id}` } }]), 'crm.item.update')
    const after = await listContacts(mine)
    assert.deepEqual(after.map(({ post }) => post), contacts.map(({ id }) => `Desk ${id}`))
    assert.deepEqual(after.map(({ originId }) => originId), contacts.map(({ originId }) => originId))
  },

  'finds one by phone and by e-mail': async () => {
    const [contact] = await listContacts({ ...mine, '=originId': 'row 5' })
    const phone = await call('crm.duplicate.findbycomm', { entity_type: 'CONTACT', type: 'PHONE', values: ['+5511 95000005'] })
    assert.deepEqual(phone, { CONTACT: [contact.id] })
    const email = await call('crm.duplicate.findbycomm', { entity_type: 'CONTACT', type: 'EMAIL', values: ['ROW5@example.com'] })
    assert.deepEqual(email, { CONTACT: [contact.id] })
  },

  'chains commands and moves a card': async () => {
    const answer = data(await api.batch.make({
      calls: {
        client: { method: 'crm.contact.add', params: { fields: { NAME: 'Vera', ORIGINATOR_ID: mine.originatorId } } },
        card: { method: 'crm.item.add', params: { entityTypeId: ONBOARDING, fields: { title: 'Vera', categoryId: CATEGORY, contactIds: ['$result[client]'] } } },
        move: { method: 'crm.item.update', params: { entityTypeId: ONBOARDING, id: '$result[card][item][id]', fields: { stageId: `DT${ONBOARDING}_${CATEGORY}:SUCCESS` } } }
      },
      options: { isHaltOnError: true }
    }), 'batch')
    assert.deepEqual(answer.move.item.contactIds, [answer.client])
    assert.equal(answer.move.item.stageId, `DT${ONBOARDING}_${CATEGORY}:SUCCESS`)
    await call('crm.contact.delete', { id: answer.client })
  },

  'reports the portal\'s own errors': async () => {
    await assert.rejects(call('crm.item.get', { entityTypeId: CONTACT, id: 99_999_999 }), /not found/i)
    const answer = await api.batch.make({
      calls: { good: { method: 'profile', params: {} }, bad: { method: 'crm.item.get', params: { entityTypeId: CONTACT, id: 99_999_999 } } },
      options: { isHaltOnError: false, returnAjaxResult: true }
    })
    assert.equal(answer.isSuccess, false)
    const { good, bad } = answer.getData()
    assert.equal(good.isSuccess, true)
    assert.equal(bad.isSuccess, false)
    assert.match(bad.getErrorMessages().join(), /not found/i)
  },

  'removes them': async () => {
    const contacts = await listContacts(mine)
    await commands(contacts.map(({ id }) => ['crm.item.delete', { entityTypeId: CONTACT, id }]), 'crm.item.delete')
    assert.equal((await listContacts(mine)).length, 0)
  }
}

for (const [name, step] of Object.entries(steps)) {
  const began = performance.now()
  try {
    await step()
  } catch (fault) {
    console.error(`jssdk: ${name}: ${fault.message}`)
    process.exit(1)
  }
  console.log(`ok  ${name} (${Math.round(performance.now() - began)} ms)`)
}
