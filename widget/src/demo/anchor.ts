// From a selection to W3C selectors and back: quote with context first, position to break ties.

export type Selector =
  | { type: 'TextQuoteSelector', exact: string, prefix?: string, suffix?: string }
  | { type: 'TextPositionSelector', start: number, end: number }
  | { type: string }

/** A stretch of the article's text, in UTF-16 units. */
export interface Span { start: number, end: number }

const CONTEXT = 32
export const LONGEST_QUOTE = 2000

/** The text of an element with white space collapsed, and where in the DOM each unit of it stands. */
export class PageText {
  readonly text: string
  private readonly places: Array<{ node: Text, offset: number }> = []
  private readonly found = new WeakMap<Selector[], Span | null>()

  constructor (root: Element) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT)
    let text = ''
    while (walker.nextNode() !== null) {
      const node = walker.currentNode as Text
      for (let offset = 0; offset < node.data.length; offset++) {
        const unit = /\s/.test(node.data[offset]!) ? ' ' : node.data[offset]!
        if (unit === ' ' && (text === '' || text.endsWith(' '))) continue
        text += unit
        this.places.push({ node, offset })
      }
    }
    this.text = text
  }

  /** The span a DOM range covers, without white space at its ends; null if nothing is left. */
  span (range: Range): Span | null {
    let start = this.indexOf(range.startContainer, range.startOffset)
    let end = this.indexOf(range.endContainer, range.endOffset)
    while (start < end && this.text[start] === ' ') start++
    while (start < end && this.text[end - 1] === ' ') end--
    return start < end ? { start, end } : null
  }

  /** The DOM range of a span. */
  range ({ start, end }: Span): Range {
    const first = this.places[start]!
    const last = this.places[end - 1]!
    const range = document.createRange()
    range.setStart(first.node, first.offset)
    range.setEnd(last.node, last.offset + 1)
    return range
  }

  /** The selectors of a span: positions and the 32 characters of context are counted in code points. */
  describe ({ start, end }: Span): Selector[] {
    const before = Array.from(this.text.slice(0, start))
    const exact = this.text.slice(start, end)
    const after = Array.from(this.text.slice(end, end + 2 * CONTEXT))
    return [
      {
        type: 'TextQuoteSelector',
        exact,
        prefix: before.slice(-CONTEXT).join(''),
        suffix: after.slice(0, CONTEXT).join('')
      },
      {
        type: 'TextPositionSelector',
        start: before.length,
        end: before.length + Array.from(exact).length
      }
    ]
  }

  /** Where the selectors point: the occurrence of the quote that fits its context and position best. */
  anchor (selectors: Selector[]): Span | null {
    const quote = quoteOf(selectors)
    if (quote === null) return null
    const [exact, prefix, suffix] = [quote.exact, quote.prefix ?? '', quote.suffix ?? ''].map(collapse)
    const expected = this.positionOf(selectors)
    let best: Span | null = null
    let bestScore = -Infinity
    for (let at = this.text.indexOf(exact!); at >= 0; at = this.text.indexOf(exact!, at + 1)) {
      const end = at + exact!.length
      const score = common(reversed(this.text.slice(0, at)), reversed(prefix!)) +
        common(this.text.slice(end), suffix!) -
        Math.abs(at - expected) / (this.text.length + 1)
      if (score > bestScore) [best, bestScore] = [{ start: at, end }, score]
    }
    return best
  }

  /** The same, looked for once: selectors do not change, the article neither. */
  spanOf (selectors: Selector[]): Span | null {
    if (!this.found.has(selectors)) this.found.set(selectors, this.anchor(selectors))
    return this.found.get(selectors)!
  }

  private positionOf (selectors: Selector[]): number {
    for (const selector of selectors) {
      if (selector.type !== 'TextPositionSelector' || !('start' in selector)) continue
      return Array.from(this.text).slice(0, selector.start).join('').length
    }
    return 0
  }

  /** How many units stand before a DOM point: a binary search, since places are in document order. */
  private indexOf (container: Node, offset: number): number {
    const point = document.createRange()
    point.setStart(container, offset)
    let [low, high] = [0, this.places.length]
    while (low < high) {
      const middle = (low + high) >> 1
      const place = this.places[middle]!
      if (point.comparePoint(place.node, place.offset) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** The quote among the selectors of an annotation, or null. */
export function quoteOf (selectors: Selector[]): { exact: string, prefix?: string, suffix?: string } | null {
  for (const selector of selectors) {
    if (selector.type === 'TextQuoteSelector' && 'exact' in selector && selector.exact !== '') return selector
  }
  return null
}

const collapse = (text: string): string => text.replace(/\s+/g, ' ')
const reversed = (text: string): string => Array.from(text.slice(-2 * CONTEXT)).reverse().join('')

function common (a: string, b: string): number {
  let length = 0
  while (length < b.length && a[length] === b[length]) length++
  return length
}
