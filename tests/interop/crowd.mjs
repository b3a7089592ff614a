// Crowds of honest people on yjs, many pages at a time: one JSON line in, one out, each with all pages.
// What they do follows from the seed of their page alone. tests/support/traffic drives it.
import * as readline from 'node:readline'
import * as Y from 'yjs'
import { gesture, random } from './gestures.mjs'
import { ROOTS, LOCAL, contentOf, toBytes, toText } from './replica.mjs'

const complaints = [] // what yjs prints: an honest run prints nothing
for (const level of ['error', 'warn', 'log']) {
  console[level] = (...words) => complaints.push(words.map((word) => word?.stack ?? String(word)).join(' '))
}

const REMOTE = 'remote'

class Tab {
  constructor (page, { user, role, browser, client, gc, undo, ownRules }) {
    Object.assign(this, { page, user, role, browser, gc, undo, ownRules, online: false, out: [], flags: [] })
    this.open(client)
  }

  open (client, kept = null) {
    this.undoManager?.destroy()
    this.doc?.destroy()
    this.doc = new Y.Doc({ gc: this.gc })
    this.doc.clientID = client
    if (kept !== null) Y.applyUpdate(this.doc, kept, REMOTE)
    this.doc.on('update', (update, origin) => {
      if (origin === REMOTE) return
      if (this.online) this.out.push(['update', toText(update)])
      for (const other of this.page.tabs) {
        if (other !== this && other.browser === this.browser) Y.applyUpdate(other.doc, update, REMOTE)
      }
    })
    this.undoManager = this.undo
      ? new Y.UndoManager(ROOTS.map((root) => this.doc.getMap(root)), {
        trackedOrigins: new Set([LOCAL]),
        captureTimeout: 0
      })
      : null
  }

  /** BroadcastChannel: a new tab and the others tell each other everything. */
  meet () {
    for (const other of this.page.tabs) {
      if (other === this || other.browser !== this.browser) continue
      Y.applyUpdate(this.doc, Y.encodeStateAsUpdate(other.doc, Y.encodeStateVector(this.doc)), REMOTE)
      Y.applyUpdate(other.doc, Y.encodeStateAsUpdate(this.doc, Y.encodeStateVector(other.doc)), REMOTE)
    }
  }

  take ([kind, body]) {
    if (kind === 'step1') this.out.push(['step2', toText(Y.encodeStateAsUpdate(this.doc, toBytes(body)))])
    else if (kind === 'step2' || kind === 'update') Y.applyUpdate(this.doc, toBytes(body), REMOTE)
    else if (kind === 'cut') this.online = false
    else if (kind === 'role') this.role = body
    else if (kind === 'fresh') this.open(body)
    else if (kind === 'load') this.open(body, Y.encodeStateAsUpdate(this.doc))
    else if (kind === 'meet') this.meet()
    else if (kind === 'connect') {
      this.online = true
      this.out.push(['step1', toText(Y.encodeStateVector(this.doc))], ['announce', this.doc.clientID])
    } else throw new Error(`unknown frame ${kind}`)
  }

  act (now, rng, count) {
    if (this.undoManager !== null && rng() < 0.15) {
      const [manager, way] = [this.undoManager, rng() < 0.7 ? 'undo' : 'redo']
      const stack = way === 'undo' ? manager.undoStack : manager.redoStack
      if (stack.length === 0) return
      manager[way]()
      count(way)
      this.flags.push('undid')
      return
    }
    const done = gesture(this, now, rng)
    if (done === null) return
    count(done.name)
    if (done.name === 'restore') this.flags.push('restored')
    for (const operations of done.transactions) {
      const deletes = operations.some(([, root]) => root === 'deleted')
      this.doc.transact(() => {
        for (const [root, key, value] of operations) {
          if (value === null) this.doc.getMap(root).delete(key)
          else this.doc.getMap(root).set(key, value)
        }
      }, deletes && this.ownRules ? 'untracked' : LOCAL)
    }
  }

  answer () {
    const [out, flags] = [this.out, this.flags]
    this.out = []
    this.flags = []
    return [out, flags]
  }
}

const pages = new Map()

const play = ({ page: name, begin, end, now, acts, frames }) => {
  if (begin) {
    const page = { rng: random(begin.seed), fresh: 0, tabs: [] }
    for (const options of begin.tabs) page.tabs.push(new Tab(page, options))
    pages.set(name, page)
  }
  const page = pages.get(name)
  const counts = {}
  const count = (what) => { counts[what] = (counts[what] ?? 0) + 1 }
  for (const [tab, frame] of frames) page.tabs[tab].take(frame)
  const able = page.tabs.filter((tab) => tab.role > 0) // none where everybody runs a Python program
  for (let turn = 0; turn < acts && able.length > 0; turn += 1) {
    able[Math.floor(page.rng() * able.length)].act(now, page.rng, count)
  }
  const reply = { page: name, counts, tabs: page.tabs.map((tab) => tab.answer()) }
  if (end) {
    reply.content = page.tabs.map((tab) => JSON.stringify(contentOf(tab.doc)))
    reply.pending = page.tabs.some(({ doc: { store } }) => store.pendingStructs !== null || store.pendingDs !== null)
  }
  if (end) {
    for (const tab of page.tabs) {
      tab.undoManager?.destroy()
      tab.doc.destroy()
    }
    pages.delete(name)
  }
  return reply
}

const lines = readline.createInterface({ input: process.stdin })
lines.on('line', (line) => {
  let answer
  try {
    answer = { pages: JSON.parse(line).map(play), complaints: complaints.splice(0) }
  } catch (error) {
    answer = { error: error.stack }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
})
lines.on('close', () => process.exit(0))
