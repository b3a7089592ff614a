// One stock browser: Y.Doc + y-websocket's WebsocketProvider over the `ws` package, every frame counted.
import { readVarString } from 'lib0/decoding'
import { Awareness } from 'y-protocols/awareness'
import { WebsocketProvider } from 'y-websocket'
import WebSocket from 'ws'
import { Replica, contentOf, toBytes, toText } from './replica.mjs'

const stable = (value) => JSON.stringify(value, (_key, item) =>
  item !== null && typeof item === 'object' && !Array.isArray(item)
    ? Object.fromEntries(Object.keys(item).sort().map((key) => [key, item[key]]))
    : item)

const KINDS = ['sync-step-1', 'sync-step-2', 'sync-update']
const kindOf = (frame) => frame[0] === 0
  ? KINDS[frame[1]] ?? 'sync-unknown'
  : { 1: 'awareness', 2: 'auth', 3: 'query-awareness', 100: 'control' }[frame[0]] ?? `unknown-${frame[0]}`

class Traffic {
  constructor () { this.clear() }
  clear () { this.frames = { in: {}, out: {} }; this.kept = { in: [], out: [] } }
  count (way, payload, keep) {
    const frame = typeof payload === 'string' ? Buffer.from(payload) : new Uint8Array(payload)
    const kind = typeof payload === 'string' ? 'text' : kindOf(frame)
    const row = (this.frames[way][kind] ??= { count: 0, bytes: 0 })
    row.count += 1
    row.bytes += frame.byteLength
    if (keep) this.kept[way].push(toText(frame))
  }
}

// Counting sits below the provider, so that what it measures is what the wire carries.
const countingSocket = (browser) => class extends WebSocket {
  constructor (url, protocols) {
    super(url, protocols, { perMessageDeflate: false, maxPayload: 0 })
    browser.dials += 1
    this.on('message', (message, isBinary) => {
      browser.traffic.count('in', isBinary ? message : message.toString(), browser.keep)
      browser.wake()
    })
    this.on('close', (code, reason) => {
      browser.closes.push({ code, reason: reason.toString() })
      browser.wake()
    })
  }

  send (message, ...rest) {
    browser.traffic.count('out', message, browser.keep)
    super.send(message, ...rest)
  }
}

export class Browser {
  constructor ({ url, room, params = {}, protocols = [], gc = true, client = null, undo = false, state, keep = false, connect = true, backoff = 2500, tabs = false }) {
    this.replica = new Replica({ gc, client, undo })
    this.keep = keep
    this.traffic = new Traffic()
    this.dials = 0
    this.closes = []
    this.statuses = []
    this.denied = null // set once when the provider gives up for good
    this.waiting = new Set()
    this.awareness = new Awareness(this.replica.doc)
    if (state !== undefined) this.awareness.setLocalState(state)
    this.provider = new WebsocketProvider(url, room, this.replica.doc, {
      awareness: this.awareness,
      connect: false,
      disableBc: !tabs,
      maxBackoffTime: backoff,
      params,
      protocols,
      WebSocketPolyfill: countingSocket(this)
    })
    this.replica.remote = this.provider
    this.controls = []
    // What a page adds to a stock provider that asks for our control frames.
    if (params.caps !== undefined) {
      this.provider.messageHandlers[100] = (_encoder, decoder) => { this.controls.push(JSON.parse(readVarString(decoder))); this.wake() }
    }
    this.listen()
    if (connect) this.provider.connect()
  }

  listen () {
    const wake = () => this.wake()
    this.provider.on('status', ({ status }) => { this.statuses.push(status); wake() })
    this.provider.on('sync', wake)
    this.provider.on('closed', (event) => { this.denied = { code: event.code, reason: event.reason }; wake() })
    this.provider.on('connection-error', () => {}) // it retries by itself; `closes` says why
    this.replica.doc.on('update', wake)
    this.awareness.on('change', wake)
  }

  wake () { for (const check of [...this.waiting]) check() }

  get doc () { return this.replica.doc }
  connect () { this.provider.connect() }
  disconnect () { this.provider.disconnect() }

  /** The cable is pulled: a TCP reset, no close frame, no word from the provider. */
  reset () { this.provider.ws?._socket?.resetAndDestroy() }
  /** FIN without a close frame, as a killed process leaves it. */
  cut () { this.provider.ws?._socket?.destroy() }
  /** Stop reading: the kernel's buffers fill up, as with a suspended tab. */
  pause () { this.provider.ws?.pause() }
  resume () { this.provider.ws?.resume() }
  /** Any bytes, past the provider. */
  inject (frame) { this.provider.ws.send(toBytes(frame)) }
  /** A text frame. */
  say (text) { this.provider.ws.send(text) }

  states () { return [...this.awareness.getStates()].map(([client, state]) => ({ client, state })) }
  setState (state) { this.awareness.setLocalState(state) }

  status () {
    const socket = this.provider.ws?._socket
    return {
      client: this.doc.clientID,
      connected: this.provider.wsconnected,
      synced: this.provider.synced,
      denied: this.denied,
      closes: this.closes,
      statuses: this.statuses,
      dials: this.dials,
      frames: this.traffic.frames,
      tcp: { in: socket?.bytesRead ?? 0, out: socket?.bytesWritten ?? 0 },
      pending: this.replica.pending()
    }
  }

  holds (wanted) {
    const tests = {
      synced: (flag) => this.provider.synced === flag,
      connected: (flag) => this.provider.wsconnected === flag,
      denied: (flag) => (this.denied !== null) === flag,
      closes: (least) => this.closes.length >= least,
      dials: (least) => this.dials >= least,
      state: ([client, key, value]) => stable(this.awareness.getStates().get(client)?.[key]) === stable(value),
      control: (wanted) => Object.entries(wanted).every(([name, value]) => stable(this.controls.at(-1)?.[name]) === stable(value)),
      states: (count) => this.awareness.getStates().size === count,
      has: (entries) => entries.every(([root, key]) => this.doc.getMap(root).has(key)),
      lacks: (entries) => entries.every(([root, key]) => !this.doc.getMap(root).has(key)),
      value: ([root, key, value]) => stable(this.doc.getMap(root).get(key)) === stable(value),
      count: ([root, count]) => this.doc.getMap(root).size === count,
      content: (content) => stable(contentOf(this.doc)) === stable(content)
    }
    return Object.entries(wanted).every(([name, argument]) => {
      if (!(name in tests)) throw new Error(`nothing to wait for is called ${name}`)
      return tests[name](argument)
    })
  }

  /** Resolves once all of `wanted` holds; rejects with what is the case after `seconds`. */
  wait (wanted, seconds) {
    return new Promise((resolve, reject) => {
      const finish = (settle, outcome) => {
        clearTimeout(timer)
        this.waiting.delete(check)
        settle(outcome)
      }
      const check = () => {
        try {
          if (this.holds(wanted)) finish(resolve, true)
        } catch (error) {
          finish(reject, error)
        }
      }
      const timer = setTimeout(() => finish(reject, new Error(
        `waited ${seconds} s in vain for ${stable(wanted).slice(0, 500)}; it is ${stable({
          ...this.status(), states: this.states().length, content: contentOf(this.doc)
        }).slice(0, 2000)}`
      )), seconds * 1000)
      this.waiting.add(check)
      check()
    })
  }

  destroy () {
    this.provider.destroy()
    this.awareness.destroy()
    this.replica.destroy()
  }
}
