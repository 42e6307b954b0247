"""The paper's size rehearsed: a made-up Europeana, one run of the job graph over it, and what every stage costs."""
