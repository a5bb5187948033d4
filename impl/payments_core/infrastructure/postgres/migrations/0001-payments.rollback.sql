DROP TABLE capture_attempts;
DROP TABLE payments;
DROP FUNCTION payment_clock();
