"""Who may come: from what a request says to a Grant, and whether it still holds.

    what a request says    proxies loopback asked
    is it believed         auth tenants origins keys tokens tickets sso revocations
    and for how long       guard

Read auth first: it asks all others.
"""
