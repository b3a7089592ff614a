// Many Yjs peers in one process, driven by JSON lines: {"id", "peer", "do", "with"} -> {"id", "ok" | "error"}.
import * as readline from 'node:readline'
import * as Y from 'yjs'
import { Browser } from './socket.mjs'
import { Replica, toBytes, toText } from './replica.mjs'

process.setMaxListeners(0) // every provider listens for the end of the process

const peers = new Map()
const complaints = [] // what yjs and y-websocket print: an honest run prints nothing
for (const level of ['error', 'warn', 'log']) {
  console[level] = (...words) => complaints.push(words.map((word) => word?.stack ?? String(word)).join(' '))
}

const add = (name, peer) => {
  if (peers.has(name)) throw new Error(`there is a peer ${name} already`)
  peers.set(name, peer)
  return { client: peer.doc.clientID }
}

const household = {
  replica: (name, options) => add(name, new Replica(options)),
  browser: (name, options) => add(name, new Browser(options)),
  merge: (_name, { updates }) => toText(Y.mergeUpdates(updates.map(toBytes))),
  complaints: () => complaints.splice(0),
  versions: () => ({ node: process.version }),
  clear: () => { for (const peer of peers.values()) peer.destroy(); peers.clear(); return true }
}

const replicaOf = (peer) => peer instanceof Browser ? peer.replica : peer

/** `count` transactions, the body of one comment counting up; the event loop may breathe in between. */
const burst = async (replica, { root, key, value, count }) => {
  for (let turn = 0; turn < count; turn += 1) {
    replica.transact([['set', root, key, { ...value, body: String(turn) }]])
    if (turn % 500 === 499) await new Promise((resolve) => setImmediate(resolve))
  }
  return true
}

const verbs = {
  transact: (peer, { operations, tracked }) => replicaOf(peer).transact(operations, tracked),
  burst: (peer, options) => burst(replicaOf(peer), options),
  script: (peer, { code }) => replicaOf(peer).script(code),
  forge: (peer, { updates }) => replicaOf(peer).forge(updates),
  undo: (peer) => replicaOf(peer).undo(),
  redo: (peer) => replicaOf(peer).redo(),
  apply: (peer, { updates }) => replicaOf(peer).apply(updates),
  vector: (peer) => replicaOf(peer).vector(),
  step2: (peer, { vector }) => replicaOf(peer).stepTwo(vector),
  content: (peer) => replicaOf(peer).content(),
  pending: (peer) => replicaOf(peer).pending(),
  connect: (peer) => { peer.connect(); return true },
  disconnect: (peer) => { peer.disconnect(); return true },
  reset: (peer) => { peer.reset(); return true },
  cut: (peer) => { peer.cut(); return true },
  pause: (peer) => { peer.pause(); return true },
  resume: (peer) => { peer.resume(); return true },
  inject: (peer, { frame }) => { peer.inject(frame); return true },
  say: (peer, { text }) => { peer.say(text); return true },
  status: (peer) => peer.status(),
  states: (peer) => peer.states(),
  setState: (peer, { state }) => { peer.setState(state); return true },
  kept: (peer) => peer.traffic.kept,
  controls: (peer) => peer.controls,
  forget: (peer) => { peer.traffic.clear(); return true },
  wait: (peer, { wanted, seconds }) => peer.wait(wanted, seconds)
}

const perform = async ({ peer: name, do: verb, with: options = {} }) => {
  if (verb in household) return household[verb](name, options)
  const peer = peers.get(name)
  if (peer === undefined) throw new Error(`there is no peer ${name}`)
  if (verb === 'drop') {
    peers.delete(name)
    peer.destroy()
    return true
  }
  if (!(verb in verbs)) throw new Error(`unknown verb ${verb}`)
  return verbs[verb](peer, options)
}

const plain = (_key, value) => typeof value === 'bigint' ? Number(value) : value
const answer = (reply) => process.stdout.write(JSON.stringify(reply, plain) + '\n')
const lines = readline.createInterface({ input: process.stdin })
lines.on('line', (line) => {
  const command = JSON.parse(line)
  perform(command).then(
    (ok) => answer({ id: command.id, ok }),
    (error) => answer({ id: command.id, error: String(error?.stack ?? error) })
  )
})
// The test has gone: nothing keeps a peer alive, its sockets least of all.
lines.on('close', () => process.exit(0))
