-- Generations of an authority: from when on one issues while its state is active. 0: it always has; 253402300799000 (the end of the
-- year 9999): that is not settled yet.
ALTER TABLE authorities ADD COLUMN issues_from INTEGER NOT NULL DEFAULT 0;
