// Pointing: a passage and its card belong together, whichever of them the pointer is on.

/** Calls `show` with the thread under the pointer, `open` with the one whose passage is clicked. */
export function onPointed (
  article: HTMLElement, margin: HTMLElement,
  at: (x: number, y: number) => string | null, show: (thread: string | null) => void, open: (thread: string | null) => void
): void {
  let hover: string | null = null

  function point (id: string | null): void {
    if (id === hover) return
    hover = id
    article.toggleAttribute('data-over', id !== null)
    for (const card of margin.querySelectorAll<HTMLElement>('.card')) card.toggleAttribute('data-hover', card.dataset['id'] === id)
    show(id)
  }

  article.addEventListener('click', ({ clientX, clientY }) => {
    if (getSelection()?.isCollapsed !== false) open(at(clientX, clientY))
  })
  article.addEventListener('pointermove', ({ clientX, clientY }) => point(at(clientX, clientY)))
  article.addEventListener('pointerleave', () => point(null))
  margin.addEventListener('pointerover', ({ target }) =>
    point((target as Element).closest<HTMLElement>('.card')?.dataset['id'] ?? null))
  margin.addEventListener('pointerleave', () => point(null))
}
