// What honest people do on a page, as far as their own replica can tell that they may.

/** A PRNG of 32 bits (mulberry32): numbers from 0 to below 1. */
export const random = (seed) => () => {
  seed = (seed + 0x6D2B79F5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
}

const COMMENTER = 1
const EDITOR = 2
const MODERATOR = 3
const EMOJI = ['👍', '❤️', '🎉', '🏳️‍🌈']
const WORDS = ['hello', 'é😀', 'see above', 'ще раз', '長い文', 'a note', 'x'.repeat(200)]

const encoded = (user) => encodeURIComponent(user)
const parentOf = (entry) => entry.slice(0, entry.lastIndexOf('/'))
const threadOf = (name) => name.split('/')[0]

/** Where one person sits down: what her replica shows her, the time, the PRNG. */
class Desk {
  constructor (tab, now, rng) {
    Object.assign(this, { tab, now, rng, user: tab.user, role: tab.role, moderates: tab.role >= MODERATOR })
    this.me = encoded(tab.user)
  }

  map (root) { return this.tab.doc.getMap(root) }
  names (root) { return [...this.map(root).keys()] }
  choice (list) { return list[Math.floor(this.rng() * list.length)] }
  fresh (prefix) { return `${prefix}${this.tab.page.fresh++}` }
  words () { return `${this.choice(WORDS)} ${this.tab.page.fresh++}` }

  closed (name) {
    const map = this.map('closed')
    return map.get('page')?.closed === true || map.get(threadOf(name))?.closed === true
  }

  mayAdd (name) { return this.moderates || !this.closed(name) }
  stands (entity) { return this.names('deleted').some((entry) => parentOf(entry) === entity) }
  covered (name) { return this.stands(threadOf(name)) || this.stands(name) }

  own (root) {
    return [...this.map(root).entries()]
      .filter(([name, value]) => value.creator === this.user && !this.stands(name))
      .map(([name]) => name)
  }

  gestureId () { return this.rng() < 0.5 ? { broadcastId: this.fresh('b') } : {} }

  /** What a careless program adds: properties that are there and undefined. */
  holes () { return this.rng() < 0.1 ? { broadcastId: undefined } : this.gestureId() }

  comment (more = {}) {
    return { creator: this.user, created: this.now, body: this.words(), ...more, ...this.holes() }
  }

  annotate () {
    if (this.role < EDITOR || !this.mayAdd('page')) return null
    const name = this.fresh('a')
    const selector = [
      { type: 'TextQuoteSelector', exact: this.words(), prefix: 'p', suffix: 's' },
      { type: 'TextPositionSelector', start: 3, end: 9 }
    ]
    const value = { creator: this.user, created: this.now, target: { selector }, ...this.holes() }
    const both = [['annotations', name, value], ['comments', `${name}/${this.fresh('c')}`, this.comment()]]
    // In one transaction or in two, the second on its way before the first is answered.
    return this.rng() < 0.6 ? [both] : both.map((operation) => [operation])
  }

  reply () {
    const thread = this.choice(this.names('annotations').filter((name) => this.mayAdd(name)))
    if (thread === undefined || !this.mayAdd('page')) return null
    const parent = this.choice(this.names('comments').filter((name) => threadOf(name) === thread))
    const more = parent === undefined || this.rng() < 0.5 ? {} : { parent: parent.split('/')[1] }
    return [[['comments', `${thread}/${this.fresh('c')}`, this.comment(more)]]]
  }

  edited (name) {
    return ['comments', name, { ...this.map('comments').get(name), body: this.words(), edited: this.now }]
  }

  edit () {
    const name = this.choice(this.own('comments'))
    return name === undefined ? null : [[this.edited(name)]]
  }

  /** Typing: each pause sends what there is, whatever the server thinks of the last. */
  type () {
    const name = this.choice(this.own('comments'))
    if (name === undefined) return null
    return Array.from({ length: 3 + Math.floor(this.rng() * 12) }, () => [this.edited(name)])
  }

  /** A new comment and its correction in one transaction. */
  correct () {
    const thread = this.choice(this.names('annotations').filter((name) => this.mayAdd(name)))
    if (thread === undefined || !this.mayAdd('page')) return null
    const name = `${thread}/${this.fresh('c')}`
    const value = this.comment()
    return [[['comments', name, value], ['comments', name, { ...value, body: this.words() }]]]
  }

  anchor () {
    const names = this.moderates ? this.names('annotations') : this.own('annotations')
    const name = this.choice(names.filter((one) => !this.stands(one)))
    if (name === undefined || this.role < EDITOR) return null
    const selector = [{ type: 'TextQuoteSelector', exact: this.words() }]
    return [[['annotations', name, { ...this.map('annotations').get(name), target: { selector }, title: 'moved' }]]]
  }

  resolve () {
    const names = this.moderates ? this.names('annotations') : this.own('annotations')
    const name = this.choice(names.filter((one) => this.mayAdd(one) && !this.stands(one)))
    if (name === undefined || this.role < EDITOR) return null
    const resolved = !(this.map('resolved').get(name)?.resolved ?? false)
    return [[['resolved', name, { by: this.user, at: this.now, resolved, ...this.holes() }]]]
  }

  react () {
    const name = this.choice(this.names('comments').filter((one) => this.mayAdd(one) && !this.covered(one)))
    if (name === undefined) return null
    const key = `${name}/${this.choice(EMOJI)}/${this.me}`
    return [[['reactions', key, this.map('reactions').has(key) ? null : { at: this.now, ...this.holes() }]]]
  }

  delete (root) {
    const name = this.choice(this.moderates ? this.names(root) : this.own(root))
    if (name === undefined) return null
    const operations = [['deleted', `${name}/${this.me}`, { by: this.user, at: this.now, ...this.holes() }]]
    for (const below of ['annotations', 'comments', 'reactions', 'resolved']) {
      for (const key of this.names(below)) {
        if (key === name || key.startsWith(`${name}/`)) operations.push([below, key, null])
      }
    }
    return [operations]
  }

  deleteComment () { return this.delete('comments') }
  deleteThread () { return this.delete('annotations') }

  restore () {
    const entry = this.choice(this.names('deleted').filter((name) => this.moderates || name.endsWith(`/${this.me}`)))
    return entry === undefined ? null : [[['deleted', entry, null]]]
  }

  close () {
    if (!this.moderates) return null
    const name = this.choice(['page', ...this.names('annotations')])
    const was = this.map('closed').get(name)?.closed ?? false
    if (was && this.rng() < 0.5) return [[['closed', name, null]]]
    return [[['closed', name, { by: this.user, at: this.now, closed: !was, ...this.holes() }]]]
  }

  entitle () { return this.moderates ? [[['page', 'title', this.words()]]] : null }
}

const WEIGHTS = {
  annotate: 10, reply: 14, edit: 10, type: 10, correct: 4, anchor: 4, resolve: 5, react: 12,
  deleteComment: 6, deleteThread: 3, restore: 4, close: 3, entitle: 1
}
const NAMES = Object.entries(WEIGHTS).flatMap(([name, weight]) => Array(weight).fill(name))

/** A random gesture that makes sense: {name, transactions: [[[root, key, value or null], ...], ...]}, or null. */
export const gesture = (tab, now, rng) => {
  if (tab.role < COMMENTER) return null
  const desk = new Desk(tab, now, rng)
  const name = desk.choice(NAMES)
  const transactions = desk[name]()
  return transactions === null ? null : { name, transactions }
}
