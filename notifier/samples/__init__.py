"""The pages that `notifier demo` reads: three listings on Thursday, Friday, Saturday and Monday, a folder for each day.

Every paper, person and number in them is invented; any likeness to a real paper is an accident. A paper's own links
lead to example.org, which is reserved (RFC 2606), and the arXiv ids have numbers above 90000, which no month reaches,
so that a click in the demo never lands on somebody's work. The pages behave as real listings do: the plain-text page
drops some papers and brings others, votes grow over the weekend, arXiv's page of Friday stays up on Saturday, three
papers a day stand on two pages, and two papers get their id only on the next day.
"""
