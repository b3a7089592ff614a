"""HTTP around the JSON interfaces: answers cors pace; and what browsers and operators load: pages ops."""
