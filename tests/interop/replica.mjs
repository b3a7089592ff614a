// One Yjs replica without a network: what a browser tab holds, driven step by step by a test.
import * as Y from 'yjs'

export const ROOTS = ['annotations', 'comments', 'resolved', 'reactions', 'deleted', 'closed', 'page']
export const LOCAL = 'local'

export const toText = (bytes) => Buffer.from(bytes).toString('base64')
export const toBytes = (text) => new Uint8Array(Buffer.from(text, 'base64'))

// JSON cannot say what lib0's Any can: {"$any": "undefined" | "bigint" | "bytes" | "nan", ...}.
const revive = (value) => {
  if (Array.isArray(value)) return value.map(revive)
  if (value === null || typeof value !== 'object') return value
  switch (value.$any) {
    case undefined: return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revive(item)]))
    case 'undefined': return undefined
    case 'bigint': return BigInt(value.value)
    case 'bytes': return toBytes(value.value)
    case 'nan': return NaN
    case 'infinity': return Infinity
    default: throw new Error(`unknown $any ${value.$any}`)
  }
}

/** The live entries of every root that this doc knows: {root: {key: value}}, empty roots left out. */
export const contentOf = (doc) => {
  const roots = new Set([...ROOTS, ...doc.share.keys()])
  const content = {}
  for (const root of roots) {
    const entries = [...doc.getMap(root).entries()]
    if (entries.length > 0) content[root] = Object.fromEntries(entries)
  }
  return content
}

export class Replica {
  /** `client` fixes the Yjs client id; `undo` gives it an UndoManager over all roots. */
  constructor ({ gc = true, client = null, undo = false } = {}) {
    this.doc = new Y.Doc({ gc })
    if (client !== null) this.doc.clientID = client
    this.remote = 'remote' // the origin of what others made: a provider sends everything else on
    this.sent = [] // local updates nobody has taken yet
    this.doc.on('update', (update, origin) => {
      if (origin !== this.remote) this.sent.push(toText(update))
    })
    // No capture time: each transaction is its own step of undo, so that a seed always gives the same.
    this.undoManager = undo
      ? new Y.UndoManager(ROOTS.map((root) => this.doc.getMap(root)), {
        trackedOrigins: new Set([LOCAL]),
        captureTimeout: 0
      })
      : null
  }

  take () {
    const updates = this.sent
    this.sent = []
    return updates
  }

  /** Operations ["set", root, key, value] | ["delete", root, key] in one transaction, undoable if tracked. */
  transact (operations, tracked = true) {
    this.doc.transact(() => {
      for (const [verb, root, key, value] of operations) {
        const map = this.doc.getMap(root)
        if (verb === 'set') map.set(key, revive(value))
        else if (verb === 'delete') map.delete(key)
        else throw new Error(`unknown operation ${verb}`)
      }
    }, tracked ? LOCAL : 'untracked')
    return this.take()
  }

  /** Any JavaScript with `doc` and `Y`: what a browser's console can do that the verbs cannot say. */
  script (code) {
    new Function('doc', 'Y', code)(this.doc, Y)
    return this.take()
  }

  /** An update made by hand, as if this replica had written it: its provider sends it on. */
  forge (updates) {
    for (const update of updates) {
      this.doc.transact((transaction) => {
        Y.applyUpdate(this.doc, toBytes(update))
        // Else Yjs would take a new client id: it believes that another tab has the same.
        transaction.local = true
      }, LOCAL)
    }
    return this.take()
  }

  undo () { this.undoManager.undo(); return this.take() }
  redo () { this.undoManager.redo(); return this.take() }

  apply (updates) {
    for (const update of updates) Y.applyUpdate(this.doc, toBytes(update), this.remote)
    // Nothing local may come of it: what an apply sets off itself would be lost otherwise.
    return this.take()
  }

  vector () { return toText(Y.encodeStateVector(this.doc)) }
  stepTwo (vector) { return toText(Y.encodeStateAsUpdate(this.doc, vector ? toBytes(vector) : undefined)) }
  content () { return contentOf(this.doc) }
  pending () { return this.doc.store.pendingStructs !== null || this.doc.store.pendingDs !== null }
  destroy () { this.undoManager?.destroy(); this.doc.destroy() }
}
