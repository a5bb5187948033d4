"""Something goes wrong at each statement of a race: faults, and clients that hang up."""
